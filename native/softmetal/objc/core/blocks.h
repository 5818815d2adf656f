// Blocks: closures that the compiler makes on the stack and that are copied to the heap when they are kept.
#pragma once

namespace softmetal::objc {

void *copyBlock(const void *block);
void releaseBlock(const void *block);

// Calls a block with these arguments.
template <class... A>
void callBlock(void *block, A... arguments) {
  struct Block {
    const void *isa;
    int flags, references;
    void (*invoke)(void *, A...);
  };
  static_cast<Block *>(block)->invoke(block, arguments...);
}

}  // namespace softmetal::objc
