// Metal's objects on top of the runtime.
import { beforeAll, expect, test } from "vitest";
import { describeWithToolchain } from "../toolchain.ts";
import { buildTimeout, type Cases, type Program, program } from "./program.ts";

const done = "status 4, nil 0 no error";
const group = "of threadgroup (0,0,0)";
const race = `race in device memory: write by thread (1,0,0) ${group}, write by thread 0 of threadgroup 0`;
const unordered =
  `race in device memory: write by thread (0,0,0) ${group}, write by thread 0 of threadgroup 0, ` +
  "in an earlier dispatch without a barrier between them";
const beyond = `write of 4 bytes outside of every buffer by thread (0,0,0) ${group}`;
const division = `integer division by zero by thread (0,0,0) ${group}`;

// Behind each case no object is alive; faults are those that tests read, the other texts are those of the command buffers' errors.
const expected: Cases = {
  device: ["software Metal, for testing", "32768 68719476736 1", "1 0", "1"],
  buffers: ["the label of a buffer 64 0 1 64 1", `${"0 ".repeat(16)}`, "1 2 3 ", "1", done, "freed 1 1", "42"],
  libraries: [
    "1 30002",
    "0",
    "named no error",
    "named 1",
    "1 MTLLibraryErrorDomain 3",
    "program_source:2:8: error: use of undeclared identifier 'nothing'",
    "  *o = nothing;",
    "       ^",
  ],
  functions_and_pipelines: [
    "1024 128 32 the function's label",
    'the library has no function "missing"',
    "1 function constant 0 (SCALE) is not set",
    '1 function "scale": function constant 0 (SCALE): expected uint of 4 bytes, got float of 4 bytes',
    "1",
  ],
  a_command_buffer: ["status 0", done, "45 35 25 15 0 0 0 0 ", "1 a label of a command buffer a label", "1 2 1"],
  // Scheduled and completed, in the order of the commits, on another thread.
  completion: ["300 400 301 401 302 402 303 403 304 404 5 "],
  the_host_goes_on_while_commands_run: ["20 "],
  a_queue_of_two: [done, "7 "],
  residency: ["1 0 1", "8 weights of the model", "1 0"],
  faults_of_kernels: [
    `status 5, MTLCommandBufferErrorDomain 3 bounds, kernel beyond, program_source:18: ${beyond}`,
    `status 5, MTLCommandBufferErrorDomain 1 trap, kernel divides, program_source:20: ${division}`,
    `status 5, MTLCommandBufferErrorDomain 1 race, kernel same_place, program_source:21: ${race}`,
    done,
    `bounds: ${beyond}`,
    `trap: ${division}`,
    `race: ${race}`,
  ],
  a_forgotten_barrier: [
    done,
    `status 5, MTLCommandBufferErrorDomain 1 race, kernel add_one, program_source:9: ${unordered}`,
    `race: ${unordered}`,
  ],
  no_memory: ["600 1 1", "1 1000"],
  a_lost_device: ["status 5, MTLCommandBufferErrorDomain 11 lost: the device is lost", "1 1 1", "the device is lost", "0 ", done],
  fewer_threads: ["256 128"],
};

describeWithToolchain("Metal's objects", () => {
  let built: Program;
  beforeAll(async () => {
    built = await program("metal");
  }, buildTimeout);

  test("do what a host asks for, and leave nothing", () => expect(built.all()).toEqual(expected));
});
