// What hosts do wrong fails the command buffer and is told to tests; the process goes on.
import { beforeAll, expect, test } from "vitest";
import { describeWithToolchain } from "../toolchain.ts";
import { buildTimeout, type Cases, type Program, program } from "./program.ts";

const failed = "status 5, code 9";
const cases: Cases = {
  nothing: ["status 4, code 0"],
  buffer_index: [failed, "misuse: setBuffer: index 31 is beyond 30"],
  buffer_offset: [
    failed,
    "misuse: setBuffer: offset 64 at index 1 is beyond the buffer's 64 bytes",
    "misuse: setBuffer: offset 65 at index 0 is beyond the buffer's 64 bytes",
    "misuse: setBufferOffset: no buffer is bound at index 2",
  ],
  misaligned_offset: [failed, "binding: buffer(0): offset 2 is not a multiple of 4, which the argument's type needs"],
  missing_buffer: [failed, "binding: buffer(0): nothing is bound"],
  inline_bytes: [
    failed,
    "misuse: setBytes: 4097 bytes, expected 1 to 4096",
    "misuse: setBytes: 0 bytes, expected 1 to 4096",
    "misuse: setBytes: index 31 is beyond 30",
  ],
  threadgroup_memory: [
    failed,
    "misuse: setThreadgroupMemoryLength: 40 bytes are not a multiple of 16",
    "misuse: setThreadgroupMemoryLength: 32784 bytes, allowed are 32768",
    "misuse: setThreadgroupMemoryLength: index 40 is beyond 30",
  ],
  threads_per_threadgroup: [
    failed,
    "misuse: dispatchThreads: 1025 x 1 x 1 threads per threadgroup, the pipeline allows 1024",
    "misuse: dispatchThreadgroups: 4294967295 x 4294967295 x 2 threads per threadgroup, the pipeline allows 1024",
    "misuse: dispatchThreadgroups: an extent is 0",
  ],
  no_pipeline: [failed, "misuse: dispatchThreads without a pipeline state"],
  debug_groups: [failed, "misuse: popDebugGroup without pushDebugGroup", "misuse: endEncoding with 1 debug groups that were not popped"],
  encoding_after_the_end: [
    failed,
    ...["dispatchThreads", "memoryBarrierWithScope", "endEncoding"].map((method) => `misuse: ${method} after endEncoding`),
  ],
  two_encoders: ["1", failed, "misuse: blitCommandEncoder while another encoder has not ended"],
  commit_while_encoding: [failed, "misuse: commit while an encoder has not ended"],
  commit_twice: [
    "status 4, code 0",
    "1",
    ...["commit", "addCompletedHandler:", "computeCommandEncoder"].map((method) => `misuse: ${method} after commit`),
  ],
  an_encoder_is_left: ["misuse: an encoder was released without endEncoding"],
  wait_before_commit: [failed, "misuse: waitUntilCompleted before commit would wait for ever"],
  too_many_command_buffers: [
    "1 1 1",
    "misuse: commandBuffer would wait for ever: 1 command buffers of this queue are not committed",
    "misuse: newCommandQueueWithMaxCommandBufferCount: the count is 0",
  ],
  buffer_lengths: [
    "1 1",
    ...[0, 2 ** 36 + 1].map((length) => `misuse: newBufferWithLength:options:: length ${length} is not between 1 and maxBufferLength`),
  ],
  memory_of_the_host: [
    "1 1",
    ...Array(2).fill(
      "misuse: newBufferWithBytesNoCopy:length:options:deallocator: address and length have to be multiples of the page size, 4096",
    ),
  ],
  blits: [failed, "misuse: copyFromBuffer: 8 bytes at 60 of 64 to 0 of 64", "misuse: fillBuffer: 2 bytes at 18446744073709551615 of 64"],
  arguments_that_are_nil: [
    "1111",
    "misuse: newLibraryWithSource:options:error: the source is nil",
    "misuse: newComputePipelineStateWithFunction:error: the function is nil",
    "misuse: newBufferWithBytes:length:options: the pointer is null",
    "misuse: commandBufferWithDescriptor: the descriptor is nil",
    "misuse: addResidencySet: the set is nil",
  ],
  constants: [
    "misuse: setConstantValue: MTLDataType 0 is no type of function constants",
    "misuse: setConstantValue: index 65536 is beyond 65535",
  ],
};

describeWithToolchain("misuse of Metal", () => {
  let found: Cases = {};
  beforeAll(async () => {
    const built: Program = await program("misuse");
    found = built.all();
  }, buildTimeout);

  test("every case has its expectation", () => expect(Object.keys(found)).toEqual(Object.keys(cases)));
  test.each(Object.entries(cases))("%s", (name, lines) => expect(found[name]).toEqual(lines));
});
