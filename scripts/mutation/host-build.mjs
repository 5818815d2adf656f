// The Metal addon with one file of its host changed: that object is compiled anew and linked with the others, which are there.
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { root } from "../setup.mjs";

const build = join(root, "packages", "backend-metal", "build");
const host = join(root, "native", "metal");
const addon = join("Release", "rlxjs_metal.node");

/** Runs a command of the build: "", or what it says against it. */
function complaint(command, input) {
  return new Promise((resolve) => {
    const child = spawn("bash", ["-c", command], { cwd: build, stdio: ["pipe", "ignore", "pipe"] });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      said += text;
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    child.on("close", (status) => resolve(status === 0 ? "" : said || "no reason given"));
  });
}

export class HostBuild {
  /** @param {string} path of a folder for its objects */
  constructor(path) {
    this.path = path;
    mkdirSync(path, { recursive: true });
    const { stdout, stderr } = spawnSync("ninja", ["-C", build, "-t", "commands", addon], { encoding: "utf8" });
    const commands = stdout.split("\n").filter((line) => line.includes("clang++"));
    const link = commands.find((line) => line.includes(`-o ${addon} `));
    if (link === undefined) throw new Error(`expected the Metal addon to be built, by ninja: ${stderr}`);
    const commandOf = (file) => commands.find((line) => line.endsWith(`/native/metal/${file}`));
    this.link = link;
    this.files = readdirSync(host).filter((file) => /\.(cpp|mm)$/.test(file) && commandOf(file) !== undefined);
    /** A file's compilation, without the places of what goes in and out. */
    this.compilations = new Map(this.files.map((file) => [file, commandOf(file).replace(/ -MD .*$/, "")]));
    this.unchanged = new Map();
  }

  #object = (name) => join(this.path, `${name}.o`);
  /** Compiles a text as if it were that of a file. Indices of the standard library are checked: what is out of bounds is noticed. */
  #compile(file, source, name, flags = "-O0 -D_GLIBCXX_ASSERTIONS") {
    const language = file.endsWith(".mm") ? "" : "-x c++";
    return complaint(`${this.compilations.get(file)} ${flags} ${language} -iquote "${host}" -c - -o "${this.#object(name)}"`, source);
  }

  /** All objects of the host, as they are when nothing is changed. */
  async prepare() {
    for (const file of this.files) {
      const said = await this.#compile(file, readFileSync(join(host, file), "utf8"), file);
      if (said !== "") throw new Error(said);
    }
  }

  /** The addon with one file changed, put in its places: "survived", or what the compiler says. */
  async into(places, { file, source }) {
    const name = basename(file);
    const said = await this.#compile(name, source, "changed");
    if (said !== "") return `error: ${said}`;
    const out = join(this.path, "rlxjs_metal.node");
    const objects = this.files.reduce(
      (link, f) => link.replace(`CMakeFiles/rlxjs_metal.dir/${f}.o`, `"${this.#object(f === name ? "changed" : f)}"`),
      this.link.replace(`-o ${addon} `, `-o "${out}" `),
    );
    const wrong = await complaint(objects, "");
    if (wrong !== "") return `error: ${wrong}`;
    // A process may still have the addon that was there before.
    for (const place of places) {
      const to = join(place, addon);
      copyFileSync(out, `${to}.new`);
      renameSync(`${to}.new`, to);
    }
    return "survived";
  }

  /** Whether the optimised code stays what it was. */
  async isSameCode({ file, source, whole }) {
    const name = basename(file);
    const code = async (text) => {
      const said = await this.#compile(name, text, "optimized", "-O2");
      return said === "" ? readFileSync(this.#object("optimized")) : said;
    };
    if (!this.unchanged.has(name)) this.unchanged.set(name, await code(whole));
    return this.unchanged.get(name).equals(await code(source));
  }
}
