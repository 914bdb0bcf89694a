package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// mutant is one mistake: where old stands in file, new does.
type mutant struct {
	name   string
	tag    string // the line of docs/pitfalls.md it is an instance of
	breaks string // what is wrong with it, in one sentence
	file   string // from the module root
	old    string // exactly once in file
	new    string
	tests  []string // packages; a test of one of them fails
	// compiled is a package in whose code for arm64, instead, a fused operation appears.
	compiled string
}

// tables is all mutants, by the part of the program they break.
var tables = [][]mutant{timeMutants, sweepMutants, stateMutants, valueMutants, aggMutants, exprMutants, edgeMutants, lateMutants, splitMutants, textMutants}

// apply is the text of the mutant's file with its change.
func (m *mutant) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s has the text %q %d times, not once", m.file, m.old, n)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// packages are those whose tests any of the mutants needs, each once.
func packages(mutants []mutant) []string {
	var out []string
	for _, m := range mutants {
		out = append(out, m.tests...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
