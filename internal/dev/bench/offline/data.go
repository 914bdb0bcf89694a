package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The data is events of 90 days in order of time, in several files, and a spine over the last
// 60 of these days in random order. Every value is a function of the row number.

// data is the input files of a task.
type data struct {
	name                string
	events, keys, spine int64
	files               int64 // number of files of events
}

// statements are the SQL statements that create the missing files.
func (d data) statements(dir string) string {
	var out []string
	per := d.events / d.files
	for f := range d.files {
		path := fmt.Sprintf("%s-events-%d.parquet", d.name, f)
		if exists(dir, path) {
			continue
		}
		out = append(out, fmt.Sprintf(`COPY (SELECT (hash(i) %% %d)::BIGINT AS key, make_timestamp(1735689600000000 + (i::DOUBLE * %d / %d)::BIGINT) AS ts,
	(hash(i + 1000000007) %% 1000000)::DOUBLE / 100 AS amount, (hash(i + 2000000011) %% 1000)::BIGINT AS quantity, 'kind-' || (hash(i + 3000000019) %% 500) AS kind
	FROM range(%d, %d) t(i)) TO '%s' (FORMAT parquet, COMPRESSION zstd)`, d.keys, 90*day, d.events, f*per, (f+1)*per, path))
	}
	if path := d.name + "-spine.parquet"; !exists(dir, path) {
		out = append(out, fmt.Sprintf(`COPY (SELECT i AS row, (hash(i + 4000000007) %% %d)::BIGINT AS key, make_timestamp(1735689600000000 + %d + (hash(i + 5000000029) %% %d)::BIGINT) AS ts,
	(hash(i + 6000000011) %% 2)::BIGINT AS label FROM range(%d) t(i)) TO '%s' (FORMAT parquet, COMPRESSION zstd)`, d.keys, 30*day, 60*day, d.spine, path))
	}
	return strings.Join(out, ";\n")
}

func exists(dir, path string) bool {
	_, err := os.Stat(filepath.Join(dir, path))
	return err == nil
}

// make creates the missing files of d.
func (r *runner) make(ctx context.Context, d data) error {
	s := d.statements(r.dir)
	if s == "" {
		return nil
	}
	_, err := r.sql(ctx, s)
	return err
}

// usual is the data of most tasks.
func (r *runner) usual() data {
	return data{fmt.Sprintf("usual-%d-%d-%d", r.events, r.keys, r.options.spine), r.events, r.keys, r.options.spine, 4}
}

const project = "project: bench\n"

// definitions are those of a project over d: a view for each list of features, all over
// one source, and one service with all views.
func (d data) definitions(views ...[]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `kind: Entity
name: key
keys: [{name: key, type: int}]
---
kind: Source
name: events
from: ../%s-events-*.parquet
event_time: ts
columns: {key: {type: int}, ts: {type: timestamp}, amount: {type: double}, quantity: {type: int}, kind: {type: string}}
`, d.name)
	var names []string
	for i, features := range views {
		names = append(names, fmt.Sprintf("v%d", i))
		fmt.Fprintf(&b, "---\nkind: FeatureView\nname: v%d\nentity: key\nsource: events\nfeatures:\n", i)
		for _, f := range features {
			fmt.Fprintf(&b, "  %s\n", f)
		}
	}
	fmt.Fprintf(&b, "---\nkind: FeatureService\nname: s\nfeatures: [%s]\n", strings.Join(names, ", "))
	return b.String()
}

// write creates a project with the definitions and returns its folder.
func (r *runner) write(definitions string) (string, error) {
	dir := filepath.Join(r.dir, "project")
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	for file, text := range map[string]string{"unskew.yaml": project, "features/defs.yaml": definitions} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}
