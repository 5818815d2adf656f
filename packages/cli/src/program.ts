import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { deviceOptions, integer, kvCacheOptions, number } from "./flags.ts";

const version = (): string => JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version;
const model = ["[model]", "GGUF file or Hugging Face model directory (default: the demo model)"] as const;

/** The command line. Commands are imported when they run, so that `--help` and mistakes are answered at once. */
export function program(): Command {
  const cli = new Command("rlxjs")
    .description("Run language models and inspect how they are compiled.")
    .version(version())
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(`rlxjs: ${text.replace(/^error: /, "").replaceAll(/\s*\n\s*(?=\S)/g, " ")}`) });
  const command = (name: string, description: string): Command => cli.command(name).description(description);
  const withOptions = (c: Command, options: readonly Option[]): Command => options.reduce((all, option) => all.addOption(option), c);
  const withDevice = (c: Command): Command => withOptions(c, deviceOptions());
  const withDecoder = (c: Command, kvCache: "f32" | "f16"): Command => withOptions(withDevice(c), kvCacheOptions(kvCache));

  withDecoder(command("run", "continue a text, streamed").argument(...model), "f16")
    .requiredOption("-p, --prompt <text>", "the text to continue")
    .option("-n, --tokens <n>", "most tokens to generate (default: until the model ends the text)", integer(0))
    .option("--temperature <t>", "0: always the most likely token (default)", number)
    .option("--top-k <k>", "draw from the k most likely tokens", integer(0))
    .option("--top-p <p>", "draw from the most likely tokens whose probabilities sum to p", number)
    .option("--min-p <p>", "draw from tokens of at least this share of the best one's probability", number)
    .option("--seed <n>", "one seed, one text (default: random)", integer(0))
    .option(
      "--speculative <n>",
      "guess up to n tokens from earlier text and check them in one run: the same text, faster where it repeats",
      integer(1),
    )
    .option("--json", "one JSON object at the end instead of text")
    .action(async (path, flags) => (await import("./commands/run.ts")).run(path, flags));

  // Logits are for comparing with other programs.
  withDecoder(command("logits", "write the logits of token ids, float32 little-endian [n, vocab]").argument("<model>", model[1]), "f32")
    .requiredOption("--ids-file <file>", "token ids, separated by white space or commas")
    .requiredOption("--out <file>", "where to write")
    .addOption(
      new Option("--mode <mode>", "one prefill, or token by token through the KV cache").choices(["full", "decode"]).default("full"),
    )
    .action(async (path, flags) => (await import("./commands/logits.ts")).logits(path, flags));

  withDecoder(command("bench", "measure prefill and decode speed").argument(...model), "f16")
    .option("--prompt <n>", "tokens of the prompt", integer(1), 128)
    .option("--gen <n>", "tokens to generate", integer(2), 64)
    .option("--rounds <n>", "rounds to take the median of", integer(1), 3)
    .option("--json", "one JSON object")
    .action(async (path, flags) => (await import("./commands/bench.ts")).bench(path, flags));

  withDevice(command("inspect", "show a model, or a graph file that rlxjs wrote").argument("[file]", `${model[1]}, or a graph`))
    .addOption(new Option("--hir", "the model as blocks").conflicts(["program", "mermaid"]))
    .addOption(new Option("--program", "the compiled program, step by step").conflicts(["mermaid"]))
    .option("--mermaid", "the graph as a Mermaid flowchart")
    .action(async (path, flags) => (await import("./commands/inspect.ts")).inspect(path, flags));

  command("devices", "list the devices of this machine")
    .option("--json", "one JSON array")
    .action(async (flags) => (await import("./commands/devices.ts")).devices(flags));

  command("convert", "convert a Hugging Face model directory to a GGUF file")
    .argument("<dir>", "directory with config.json and safetensors")
    .argument("<out>", "the GGUF file to write")
    .addOption(new Option("--type <type>", "what matrices are stored as").choices(["f32", "f16", "bf16", "q8_0", "q4_0"]).default("q8_0"))
    .action(async (from, out, flags) => (await import("./commands/convert.ts")).convert(from, out, flags));
  return cli;
}
