// Package yamldoc reads YAML with positions: documents become Nodes that know line and
// column, down to the characters of a scalar, and mappings are read as Objects whose errors
// are reported at their position.
package yamldoc
