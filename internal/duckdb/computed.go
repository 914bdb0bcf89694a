//go:build duckdb_arrow

package duckdb

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// computedNames lists the names of files that a query computes, as in
// read_csv('day-' || 7 || '.csv'): the values of the arguments of its table functions. DuckDB
// itself parses the query and evaluates them.
func (db *DB) computedNames(ctx context.Context, sql string) ([]string, error) {
	tree, err := db.parse(ctx, sql)
	if err != nil || tree == nil {
		return nil, err // of a statement other than SELECT, only literals are known
	}
	var names []string
	for _, arg := range tableArguments(tree, nil) {
		values, err := db.evaluate(ctx, arg)
		if err != nil {
			return nil, err
		}
		names = append(names, values...)
	}
	return names, nil
}

// parse returns the syntax tree of a query; nil if DuckDB cannot serialize it, as with PIVOT.
func (db *DB) parse(ctx context.Context, sql string) (any, error) {
	var tree map[string]any
	err := db.stream(ctx, "SELECT json_serialize_sql("+Quote(sql)+")::VARCHAR", nil, func(rec arrow.RecordBatch) error {
		d := json.NewDecoder(strings.NewReader(rec.Column(0).(*array.String).Value(0)))
		d.UseNumber() // some are larger than a double holds
		return d.Decode(&tree)
	})
	if err != nil {
		return nil, err
	}
	if failed, _ := tree["error"].(bool); failed {
		return nil, nil
	}
	return tree, nil
}

// tableArguments appends the expressions that are arguments of table functions and not
// literals; namesIn finds those.
func tableArguments(tree any, to []any) []any {
	switch t := tree.(type) {
	case []any:
		for _, child := range t {
			to = tableArguments(child, to)
		}
	case map[string]any:
		if function, ok := t["function"].(map[string]any); ok && t["type"] == "TABLE_FUNCTION" {
			children, _ := function["children"].([]any)
			for _, c := range children {
				if e, ok := c.(map[string]any); ok && e["class"] != "CONSTANT" && e["class"] != "COMPARISON" {
					to = append(to, c)
				}
			}
		}
		for _, child := range t {
			to = tableArguments(child, to)
		}
	}
	return to
}

// evaluate returns the value of a constant expression if it is a string, or the strings in it
// if it is a list; otherwise nothing.
func (db *DB) evaluate(ctx context.Context, expr any) ([]string, error) {
	tree, err := db.parse(ctx, "SELECT NULL")
	if err != nil {
		return nil, err
	}
	if !setExpression(tree, expr) {
		return nil, errors.New("DuckDB's syntax tree has an unknown form")
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	var names []string
	err = db.stream(ctx, "FROM json_execute_serialized_sql("+Quote(string(text))+")", nil, func(rec arrow.RecordBatch) error {
		names = append(names, texts(rec.Column(0))...)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return nil, nil // the expression is not constant
	}
	return names, err
}

func setExpression(tree, expr any) bool {
	root, _ := tree.(map[string]any)
	statements, _ := root["statements"].([]any)
	if len(statements) != 1 {
		return false
	}
	statement, _ := statements[0].(map[string]any)
	node, _ := statement["node"].(map[string]any)
	if _, ok := node["select_list"].([]any); !ok {
		return false
	}
	node["select_list"] = []any{expr}
	return true
}

func texts(a arrow.Array) []string {
	switch a := a.(type) {
	case *array.String:
		var out []string
		for i := range a.Len() {
			if a.IsValid(i) {
				out = append(out, strings.Clone(a.Value(i)))
			}
		}
		return out
	case *array.List:
		return texts(a.ListValues())
	}
	return nil
}
