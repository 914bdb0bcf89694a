// Package featuredefs compiles a project folder to a plan: it reads the definitions
// (yamldoc), compiles their expressions (lang), and resolves the references between entities,
// sources, views, services, training sets and tests.
//
// Mistakes in definitions are returned as diag.Diagnostics with file, line, column, rule and
// fix; errors mean that files could not be read. The package never reads data; callers that
// can do so pass Options.Schemas.
package featuredefs
