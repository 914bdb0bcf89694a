// Package featuredefs turns a project folder into a plan: it reads the definitions
// (yamldoc), lets the expressions in them be compiled (lang) and resolves what they say
// about each other: entities, sources, views, services, training sets and tests.
//
// What an author got wrong comes back as diag.Diagnostics with file, line, column, a
// rule and the fix; errors are only what kept the files from being read. The
// package never reads data: whoever can look at a source passes Options.Schemas.
package featuredefs
