import { type JsonObject, readJsonFile } from "../json.ts";
import { type Directory, readText } from "../source.ts";
import { Tokenizer } from "./tokenizer.ts";

const maxTemplateBytes = 2 ** 24;

/** The tokenizer of a Hugging Face model directory; undefined when it has no tokenizer.json. */
export async function tokenizerFromDirectory(directory: Directory): Promise<Tokenizer | undefined> {
  const json = await readJsonFile(directory, "tokenizer.json");
  return json && new Tokenizer(json, await readTokenizerConfig(directory));
}

/** tokenizer_config.json, with the chat template that newer models keep in a file of its own. */
export async function readTokenizerConfig(directory: Directory): Promise<JsonObject> {
  const config = (await readJsonFile(directory, "tokenizer_config.json")) ?? {};
  using template = await directory.open("chat_template.jinja");
  return template ? { ...config, chat_template: await readText(template, maxTemplateBytes) } : config;
}
