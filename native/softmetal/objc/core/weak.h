// __weak variables.
#pragma once

namespace softmetal::objc {

// Called when the last reference to the object is gone, before its end.
void clearWeakReferences(void *object);

}  // namespace softmetal::objc
