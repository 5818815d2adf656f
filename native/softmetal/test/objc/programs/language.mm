// The language: reference counting, blocks, pools, strings, collections.
#include "cases.h"

#include <thread>

// What ARC never does.
extern "C" void *objc_retain(void *);
extern "C" void objc_release(void *);

@protocol Unknown
- (int)doesNotExist;
- (float)length;
@end

static id<MTLDevice> newDevice() { return MTLCreateSystemDefaultDevice(); }

CASE(strings) {
  NSString *tiny = @"tiny", *constant = @"a constant of more than 8 characters", *wide = @"größer 🙂";
  NSString *made = [NSString stringWithUTF8String:"tiny"];
  printf("%s|%s|%s|%s\n", textOf(tiny), textOf(constant), textOf(wide), textOf(made));
  printf("%lu %lu %lu\n", tiny.length, constant.length, wide.length);
  printf("%d %d %d\n", [tiny isEqualToString:made], [made isEqual:tiny], [constant isEqual:tiny]);
  printf("%d\n", tiny.hash == made.hash);
  printf("%s\n", textOf([tiny stringByAppendingString:wide]));
  printf("%s\n", textOf([[NSString alloc] initWithBytes:"abcdef" length:3 encoding:NSUTF8StringEncoding]));
  printf("%d %d %d\n", [tiny isKindOfClass:[NSString class]], [constant isKindOfClass:[NSString class]], [made isKindOfClass:[NSError class]]);
  printf("%d %d\n", [made respondsToSelector:@selector(length)], [made respondsToSelector:@selector(doesNotExist)]);
}

CASE(collections) {
  NSArray<NSString *> *array = @[ @"one", [NSString stringWithUTF8String:"two"] ];
  for (NSString *each in array) printf("%s ", textOf(each));
  printf("%lu %s %s\n", array.count, textOf(array.firstObject), textOf(array[1]));
  NSDictionary<NSString *, NSNumber *> *dictionary = @{@"a" : @1, @"b" : @2.5, @"c" : @YES};
  printf("%lu %d %g %d %d\n", dictionary.count, dictionary[@"a"].intValue, dictionary[@"b"].doubleValue, dictionary[@"c"].boolValue, dictionary[@"d"] == nil);
  printf("%s %llu\n", textOf(@(18446744073709551615ull).stringValue), @(18446744073709551615ull).unsignedLongLongValue);
  printf("%s\n", textOf([NSURL fileURLWithPath:@"/a path/of more than 8"].path));
}

CASE(errors) {
  NSError *error = [NSError errorWithDomain:@"a domain of errors" code:7 userInfo:@{NSLocalizedDescriptionKey : @"what went wrong"}];
  printf("%s %ld %s %lu\n", textOf(error.domain), error.code, textOf(error), error.userInfo.count);
  printf("%s\n", textOf([NSError errorWithDomain:@"d" code:7 userInfo:nil]));
}

CASE(nil_receives) {
  id<MTLBuffer> none = nil;
  id<MTLDevice> device = nil;
  const MTLSize size = device.maxThreadsPerThreadgroup;
  id<MTLCommandBuffer> commands = nil;
  printf("%d %lu %g %lu\n", [none contents] == nullptr, none.length, commands.GPUEndTime, size.width + size.height + size.depth);
}

CASE(structs_and_many_arguments) {
  id<MTLDevice> device = newDevice();
  const MTLSize size = device.maxThreadsPerThreadgroup;
  printf("%lu %lu %lu\n", size.width, size.height, size.depth);
  id<MTLCommandBuffer> commands = [[device newCommandQueue] commandBuffer];
  id<MTLBlitCommandEncoder> encoder = [commands blitCommandEncoder];
  id<MTLBuffer> from = [device newBufferWithBytes:"0123456789" length:10 options:0], to = [device newBufferWithLength:10 options:0];
  [encoder fillBuffer:to range:NSMakeRange(0, 9) value:'-'];
  [encoder copyFromBuffer:from sourceOffset:2 toBuffer:to destinationOffset:5 size:3];
  [encoder endEncoding];
  [commands commit];
  [commands waitUntilCompleted];
  printf("%s\n", static_cast<char *>(to.contents));
}

CASE(blocks) {
  __block int count = 0;
  __block std::string text = "a";
  const std::string captured = "kept";
  NSString *object = [NSString stringWithUTF8String:"object"];
  void (^inner)(int) = ^(int by) {
    count += by;
    text += captured + textOf(object);
  };
  void (^outer)(void) = ^{
    inner(2);
    inner(3);
  };
  outer();
  void (^copy)(void) = outer;
  outer = nil;
  copy();
  printf("%d %s\n", count, text.c_str());
  NSArray *kept = @[ copy, ^{} ];
  printf("%lu\n", kept.count);
}

CASE(weak_references) {
  __weak NSString *weak = nil;
  @autoreleasepool {
    NSString *strong = [NSString stringWithUTF8String:"strong"];
    weak = strong;
    __weak NSString *copied = weak;
    void (^block)(void) = ^{ printf("%s\n", textOf(copied)); };
    block();
    __weak NSString *other = [NSString stringWithUTF8String:"other"];
    other = strong;
    printf("%s\n", textOf(other));
  }
  printf("%s\n", textOf(weak));
}

CASE(pools) {
  const int64_t before = softmetal_count().objects;
  @autoreleasepool {
    for (int i = 0; i < 3; ++i) (void)[NSString stringWithUTF8String:"pooled"].UTF8String;
    printf("%d", softmetal_count().objects > before);
    @autoreleasepool {
      (void)[NSString stringWithUTF8String:"inner"].UTF8String;
    }
  }
  printf("%d\n", softmetal_count().objects > before);
}

CASE(exceptions_pass) {
  try {
    NSString *released = [NSString stringWithUTF8String:"released on the way"];
    void (^thrower)(void) = ^{
      (void)released;
      throw 7;
    };
    thrower();
  } catch (int value) {
    printf("%d\n", value);
  }
}

CASE(versions) {
  if (@available(macOS 15.0, *)) printf("available\n");
  else printf("not available\n");
}

FATAL_CASE(unrecognized_selector) { [static_cast<id<Unknown>>(static_cast<id>(newDevice())) doesNotExist]; }
FATAL_CASE(unrecognized_selector_of_a_class) { [static_cast<id<Unknown>>(static_cast<id>([NSString class])) doesNotExist]; }
FATAL_CASE(other_signature) { printf("%g\n", [static_cast<id<Unknown>>(static_cast<id>([NSString stringWithUTF8String:"x"])) length]); }
FATAL_CASE(argument_of_another_class) {
  NSString *text = @"no function";
  [newDevice() newComputePipelineStateWithFunction:static_cast<id<MTLFunction>>(static_cast<id>(text)) error:nil];
}
FATAL_CASE(over_release) {
  void *device = (__bridge_retained void *)newDevice();
  objc_release(device);
  objc_release(device);
}
FATAL_CASE(retain_after_the_end) {
  void *device = (__bridge_retained void *)newDevice();
  objc_release(device);
  objc_retain(device);
}
FATAL_CASE(message_after_the_end) {
  __unsafe_unretained id<MTLDevice> device = nil;
  @autoreleasepool {
    device = newDevice();
  }
  printf("%s\n", textOf(device.name));
}
FATAL_CASE(index_beyond_an_array) { printf("%d\n", @[ @1 ][1] == nil); }

// An object that no pool takes is reported, not fatal; its thread has no pool around it.

CASE(without_a_pool) {
  std::thread([] { (void)[NSString stringWithUTF8String:"leaks"].UTF8String; }).join();
  printf("%zu\n", softmetal_fault_count());
}

int main(int count, char **arguments) { return runCases(count, arguments); }
