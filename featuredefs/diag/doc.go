// Package diag is how definitions are criticised: findings with file, line, column, a
// rule and the fix, and the Reporter that collects them.
package diag
