package recompute

import (
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/kernel"
)

// CellOf is a row of a column of features.
func CellOf(c *kernel.FeatureColumn, row int) Cell {
	cell := NewCell(c.Vec.Value(row), c.Status[row].String())
	if c.Status[row] == kernel.Defaulted {
		cell.Reason = c.Reason[row].String()
	}
	return cell
}

// NewCell is a value and its status.
func NewCell(v plan.Value, status string) Cell {
	return Cell{Value: v.String(), Bits: bitsOf(v), Status: status}
}
