// `npm run demo`: sets up what is missing, then lets the demo model tell a story, in this same process so that a warm start is quick.
import { argv } from "node:process";
import { setup } from "./setup.mjs";

setup();
const { main } = await import("../packages/cli/dist/main.js");
await main(["run", ...(argv.length > 2 ? argv.slice(2) : ["-p", "Once upon a time"])]);
