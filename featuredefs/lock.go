package featuredefs

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// lockFile is the content of unskew.lock: for each source, the types of undeclared columns as
// inferred from the data.
type lockFile map[string]map[string]plan.Type

// Lock returns the content that unskew.lock should have after this Load: the inferred column
// types of all sources. It is nil if nothing was inferred.
func (p *Project) Lock() []byte {
	if len(p.lock) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("# Column types that Unskew inferred from the data. Keep this file in version control.\n")
	for _, source := range sortedKeys(p.lock) {
		b.WriteString(source + ":\n")
		columns := p.lock[source]
		for _, c := range sortedKeys(columns) {
			b.WriteString("  " + strconv.Quote(c) + ": " + columns[c].String() + "\n")
		}
	}
	return []byte(b.String())
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// readLock reads unskew.lock, if there is one.
func (l *loader) readLock(dir string) error {
	l.lock = lockFile{}
	f, err := l.readFile(dir, LockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range l.Documents(f) {
		if n.Kind != yamldoc.Mapping {
			l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s maps sources to columns, found %s; delete the file to have it rewritten", LockFile, n.Describe())
			continue
		}
		l.UniqueKeys(n)
		for _, e := range n.Entries {
			l.lock[e.Key.Text] = l.lockedColumns(e.Value)
		}
	}
	return nil
}

func (l *loader) lockedColumns(n *yamldoc.Node) map[string]plan.Type {
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "%s maps columns to types, found %s; delete the file to have it rewritten", LockFile, n.Describe())
		return nil
	}
	l.UniqueKeys(n)
	columns := map[string]plan.Type{}
	for _, e := range n.Entries {
		if t, ok := l.columnType(e.Value, plan.ColumnKinds); ok {
			columns[e.Key.Text] = t
		}
	}
	return columns
}

// inferColumns sets the types of the undeclared columns of decl: from the data if a used
// column needs it and the data is available, else from the lock.
func (l *loader) inferColumns(decl *sourceDecl) map[string]plan.Type {
	s := decl.source
	locked := l.lock[s.Name]
	undeclared := decl.undeclared()
	if s.From == "" && s.SQL == "" {
		decl.complete = true
		return nil
	}
	if len(undeclared) == 0 || l.opts.Schemas == nil {
		return locked
	}
	columns, err := l.opts.Schemas(s)
	if err != nil {
		l.schemaFailed(decl, undeclared, locked, err)
		return locked
	}
	decl.complete = true
	inferred := map[string]plan.Type{}
	for _, c := range columns {
		was, ok := locked[c.Name]
		switch {
		case c.Unusable != "":
			decl.unusable[c.Name] = c.Unusable
		case c.Type.Kind == plan.Null && ok:
			inferred[c.Name] = was
		case slices.Contains(plan.ColumnKinds, c.Type.Kind):
			inferred[c.Name] = c.Type
		case c.Type.Kind == plan.Null:
			decl.unusable[c.Name] = fmt.Sprintf("has no value yet that determines its type; declare it under columns, such as %s: {type: double}", c.Name)
		default:
			decl.unusable[c.Name] = fmt.Sprintf("is a %v, which features cannot read; convert it with sql:", c.Type)
		}
	}
	l.compareLock(decl, inferred, locked)
	return inferred
}

// undeclared returns the used columns without a declared type, sorted.
func (s *sourceDecl) undeclared() []string {
	declared := s.declaredTypes()
	var names []string
	for _, name := range sortedKeys(s.used) {
		if !declared[name] && !s.isTime(name) {
			names = append(names, name)
		}
	}
	for _, c := range s.columns {
		if !c.declared && !s.isTime(c.Name) && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// declaredTypes returns the columns whose type is declared.
func (s *sourceDecl) declaredTypes() map[string]bool {
	declared := map[string]bool{}
	for _, c := range s.columns {
		declared[c.Name] = c.declared
	}
	return declared
}

// schemaFailed reports a Warning, not an Error, if the lock has all types that are needed.
func (l *loader) schemaFailed(decl *sourceDecl, undeclared []string, locked map[string]plan.Type, err error) {
	for _, c := range undeclared {
		if _, ok := locked[c]; !ok {
			l.Errorf(decl.source.RelationPos, RuleSchema, "cannot look up the type of column %q of source %s: %v; declare it under columns or fix the source",
				c, decl.source.Name, err)
			return
		}
	}
	l.Warnf(decl.source.RelationPos, RuleSchema, "cannot look at source %s, using the types of %s: %v", decl.source.Name, LockFile, err)
}

// compareLock reports columns whose type changed or that vanished since the lock was written.
func (l *loader) compareLock(decl *sourceDecl, inferred, locked map[string]plan.Type) {
	for _, c := range sortedKeys(locked) {
		now, ok := inferred[c]
		switch {
		case !ok && decl.unusable[c] != "":
			// Reported where the column is used.
		case !ok && decl.used[c]:
			l.Errorf(decl.source.RelationPos, RuleLockMismatch, "source %s no longer has a column %q (%s: %v); restore it or stop using it",
				decl.source.Name, c, LockFile, locked[c])
		case ok && !now.Equal(locked[c]):
			l.Errorf(decl.source.RelationPos, RuleLockMismatch,
				"column %q of source %s is now %v, %s says %v; declare the intended type under columns, or remove the line from %s",
				c, decl.source.Name, now, LockFile, locked[c], LockFile)
		}
	}
}

// newLock returns the inferred types of all sources; a source that was not read keeps its
// entry.
func (l *loader) newLock() lockFile {
	lock := lockFile{}
	for _, decl := range l.sources.list {
		declared := decl.declaredTypes()
		columns := map[string]plan.Type{}
		for name, t := range decl.inferred {
			if !declared[name] {
				columns[name] = t
			}
		}
		if len(columns) > 0 {
			lock[decl.source.Name] = columns
		}
	}
	return lock
}
