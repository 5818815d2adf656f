// Whisper, an encoder and a decoder, from a checkpoint as Hugging Face transformers stores it: `npm run example whisper [DIRECTORY]`.
import { Whisper } from "./whisper.ts";

const [path = "examples/whisper/fixture"] = process.argv.slice(2);
using model = await Whisper.open(path);
console.log(model.config);
