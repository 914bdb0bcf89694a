package main

import (
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

var arrowTypes = map[plan.Kind]arrow.DataType{
	plan.String: arrow.BinaryTypes.String, plan.Int: arrow.PrimitiveTypes.Int64, plan.Double: arrow.PrimitiveTypes.Float64,
	plan.Bool: arrow.FixedWidthTypes.Boolean, plan.Timestamp: micros,
}

// The example's definitions declare the columns that the converter writes.
func TestDeclaredColumnsAreThoseOfTheFiles(t *testing.T) {
	project, found, err := featuredefs.Load("..", featuredefs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if found.HasErrors() {
		t.Fatal(found)
	}
	for _, source := range project.Plan.Sources {
		schema := readTable(t, filepath.Base(source.From)).Schema()
		if schema.NumFields() != len(source.Columns) {
			t.Errorf("%s declares %d columns, %s has %d", source.Name, len(source.Columns), source.From, schema.NumFields())
		}
		for _, c := range source.Columns {
			checkColumn(t, schema, source.From, c.Field)
		}
	}
	training, ok := project.Plan.TrainingSet("delays_2013")
	if !ok {
		t.Fatal("no training set delays_2013")
	}
	spine := readTable(t, filepath.Base(training.Spine.From)).Schema()
	for _, f := range append(training.Service.Keys, training.Service.Request...) {
		checkColumn(t, spine, training.Spine.From, f)
	}
	checkColumn(t, spine, training.Spine.From, plan.Field{Name: training.Spine.Time, Type: plan.T(plan.Timestamp)})
	checkColumn(t, spine, training.Spine.From, plan.Field{Name: training.Spine.Label, Type: plan.T(plan.Bool)})
	checkColumn(t, spine, training.Spine.From, plan.Field{Name: training.Spine.LabelKnownAt, Type: plan.T(plan.Timestamp)})
}

func checkColumn(t *testing.T, schema *arrow.Schema, file string, want plan.Field) {
	t.Helper()
	fields, ok := schema.FieldsByName(want.Name)
	if !ok {
		t.Errorf("%s has no column %s", file, want.Name)
		return
	}
	if !arrow.TypeEqual(fields[0].Type, arrowTypes[want.Type.Kind]) {
		t.Errorf("%s: column %s is %v, declared %v", file, want.Name, fields[0].Type, want.Type)
	}
}
