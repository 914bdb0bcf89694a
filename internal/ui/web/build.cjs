// Builds the script of the pages: node build.cjs DIR writes bundle.js, and LICENSES.txt with the notices of all that is in it.
const { readdirSync, readFileSync, writeFileSync } = require("node:fs");
const { dirname, join, sep } = require("node:path");
const { buildSync } = require("esbuild");

const built = buildSync({
  entryPoints: [join(__dirname, "page.js")], nodePaths: (process.env.NODE_PATH ?? "").split(":"), bundle: true, minify: true, format: "iife",
  target: ["es2022"], charset: "ascii", legalComments: "none", metafile: true, write: false,
});
writeFileSync(join(process.argv[2], "bundle.js"), built.outputFiles[0].contents);

// The folders of the packages of which something is in the bundle.
const folders = new Set();
for (const input of Object.keys(built.metafile.inputs)) {
  const parts = input.split(sep), at = parts.lastIndexOf("node_modules");
  if (at >= 0) folders.add(parts.slice(0, at + (parts[at + 1].startsWith("@") ? 3 : 2)).join(sep));
}
const notices = [...folders].map(folder => {
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find(name => /^licen[cs]e/i.test(name));
  if (!file) throw new Error(`${about.name} has no license`);
  return { name: about.name, text: `${about.name} ${about.version} (${about.license})\n\n${readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim()}\n` };
}).sort((a, b) => a.name < b.name ? -1 : 1);
writeFileSync(join(process.argv[2], "LICENSES.txt"), "bundle.js contains these packages.\n\n" + notices.map(n => n.text).join("\n----------------------------------------------------------------\n\n"));
