// Package diag has the diagnostics about definitions: findings with file, line, column, rule
// and fix, and the Reporter that collects them.
package diag
