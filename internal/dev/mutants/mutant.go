package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// mutant is one mistake: in file, old is replaced by new.
type mutant struct {
	name   string
	tag    string // the pitfall of docs/pitfalls.md that it is an instance of
	breaks string // what is wrong then, in one sentence
	file   string // from the module root
	old    string // occurs exactly once in file
	new    string
	tests  []string // packages; a test of one of them must fail
	// compiled, if set, is a package whose arm64 code must then contain a fused operation.
	compiled string
}

// tables is all mutants, by the part of the program that they break.
var tables = [][]mutant{timeMutants, sweepMutants, stateMutants, valueMutants, aggMutants, exprMutants, edgeMutants, lateMutants, splitMutants, textMutants, servingMutants, servedMutants, parityMutants, ledgerMutants}

// apply returns the text of the mutant's file with the change.
func (m *mutant) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s contains %q %d times, want once", m.file, m.old, n)
	}
	return bytes.Replace(text, []byte(m.old), []byte(m.new), 1), nil
}

// packages lists the packages whose tests the mutants need, without duplicates.
func packages(mutants []mutant) []string {
	var out []string
	for _, m := range mutants {
		out = append(out, m.tests...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
