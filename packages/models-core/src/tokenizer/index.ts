export { type ChatMessage, ChatTemplate } from "./chat.ts";
export { StreamDecoder } from "./stream-decoder.ts";
export { type DecodeOptions, type EncodeOptions, Tokenizer } from "./tokenizer.ts";
export { tokenizerFromDirectory } from "./from-directory.ts";
export { tokenizerFromGguf } from "./from-gguf.ts";
