// Package featuredefs turns a project folder into a plan: it parses the YAML
// definitions and the CEL inside them, resolves names, type-checks, splits every
// feature into aggregates and an outer expression, and fingerprints the result.
//
// What an author got wrong comes back as Diagnostics with file, line, column, a
// rule and the fix; errors are only what kept the files from being read. The
// package never reads data: whoever can look at a source passes Options.Schemas.
package featuredefs
