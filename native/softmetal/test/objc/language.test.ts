// Objective-C itself: what clang's code asks of the runtime, and Foundation as far as hosts need it.
import { beforeAll, expect, test } from "vitest";
import { describeWithEmulator, describeWithToolchain } from "../toolchain.ts";
import { buildTimeout, type Cases, type Program, program } from "./program.ts";

// Nothing stays alive behind a case unless it says so.
const expected: Cases = {
  strings: [
    "tiny|a constant of more than 8 characters|größer 🙂|tiny",
    "4 36 9", // in units of UTF-16
    "1 1 0",
    "1",
    "tinygrößer 🙂",
    "abc",
    "1 1 0",
    "1 0",
  ],
  collections: ["one two 2 one two", "3 1 2.5 1 1", "18446744073709551615 18446744073709551615", "/a path/of more than 8"],
  errors: ["a domain of errors 7 what went wrong 1", "The operation couldn't be completed. (d error 7.)"],
  nil_receives: ["1 0 0 0"],
  structs_and_many_arguments: ["1024 1024 1024", "-----234-"],
  blocks: ["10 akeptobjectkeptobjectkeptobjectkeptobject", "2"],
  weak_references: ["strong", "strong", "nil"],
  pools: ["10"],
  exceptions_pass: ["7"],
  versions: ["available"],
  without_a_pool: ["2", "alive: 1", ...Array(2).fill("misuse: an autoreleased NSString leaks: this thread has no @autoreleasepool")],
};

describeWithToolchain("Objective-C on Linux", () => {
  let built: Program;
  beforeAll(async () => {
    built = await program("language");
  }, buildTimeout);

  test("objects, blocks, pools, strings, collections", () => expect(built.all()).toEqual(expected));

  test.each([
    ["unrecognized_selector", "MTLDevice does not respond to doesNotExist"],
    ["unrecognized_selector_of_a_class", "NSString does not respond to doesNotExist"],
    ["other_signature", 'NSString length: called with the signature "f", defined with "q"'],
    ["argument_of_another_class", "newComputePipelineStateWithFunction:error:: expected a MTLFunction, got a NSConstantString"],
    ["over_release", "release of a deallocated MTLDevice"],
    ["retain_after_the_end", "retain of a deallocated MTLDevice"],
    ["message_after_the_end", "message name to a deallocated MTLDevice"],
    ["index_beyond_an_array", "NSArray: index 1 of 1 objects"],
  ])("%s ends the process with a text", (name, error) => {
    expect(built.fatal(name)).toEqual({ output: [], error: `software Metal: ${error}`, signal: "SIGABRT" });
  });
});

describeWithEmulator("Objective-C as arm64 code", () => {
  test("objects, blocks, pools, strings, collections", { timeout: buildTimeout }, async () => {
    expect((await program("language", "arm64")).all()).toEqual(expected);
  });
});
