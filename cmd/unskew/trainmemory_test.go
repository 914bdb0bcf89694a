package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/internal/duckdb"
)

// peak ARGS… runs a program and prints the most memory of its own that it had, in bytes.
func peak(args []string) error {
	c := exec.Command(args[0], args[1:]...)
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	most, look := int64(0), time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			fmt.Println(most)
			return err
		case <-look.C:
			most = max(most, ownMemory(c.Process.Pid))
		}
	}
}

// ownMemory is the physical memory of a process, in bytes, without pages of files: how many pages of its executable are mapped
// depends on whether that has just been linked. It is 0 if the process has ended.
func ownMemory(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// memoryDefinitions has a source of the given columns, and views.
const memoryDefinitions = `kind: Entity
name: person
keys: [{name: who, type: int}]
---
kind: Source
name: events
from: events.parquet
event_time: ts
%s---
kind: FeatureView
name: v
entity: person
source: events
features: {n: 'count("5d/exact")', sum: 'sum(amount, "9d/1d")', most: 'max(amount, "2d/exact")', last: latest(%s)}
---
kind: FeatureService
name: s
features: [v]
---
kind: TrainingSet
name: set
service: s
spine: {from: spine.parquet, time: at}
`

// listTexts is the number of columns with texts of a source whose views have lists of them.
const listTexts = 10

// listColumns are the columns with texts, in SQL.
func listColumns() string {
	var out []string
	for i := range listTexts {
		out = append(out, fmt.Sprintf("'text-' || lpad((hash(i, %d) %% 200000)::VARCHAR, 8, '0') AS t%d", i, i))
	}
	return strings.Join(out, ", ")
}

// listDefinitions has fifty views, each with two features that are lists, or texts, of a column.
func listDefinitions() string {
	head, rest, _ := strings.Cut(memoryDefinitions, "%s---\n")
	_, end, _ := strings.Cut(rest, "---\n")
	var views, names []string
	for i := range listTexts {
		for n := range 5 {
			name := fmt.Sprintf("v%d_%d", i, n)
			names = append(names, name)
			views = append(views, fmt.Sprintf("kind: FeatureView\nname: %s\nentity: person\nsource: events\nfeatures: {some: 'latest_n(t%d, %d)', recent: 'latest_n(t%d, %d, \"9d/1d\")'}\n",
				name, i, 4*n+2, i, 4*n+4))
		}
	}
	return head + "---\n" + strings.Join(views, "---\n") + "---\n" + strings.Replace(end, "[v]", "["+strings.Join(names, ", ")+"]", 1)
}

// A process that builds a training set takes no more memory than --memory says, whatever the data are like [p8].
func TestP8_PeakOfTheProcess(t *testing.T) {
	const limit = 256 << 20
	const events = `SELECT %s AS who, TIMESTAMP '2025-01-01' + to_seconds(i) AS ts, (hash(i, 1) %% 1000)::DOUBLE / 7 AS amount, %s FROM range(%d) t(i)`
	const spine = `SELECT %s AS who, TIMESTAMP '2025-01-02' + to_seconds(i * 17 %% 2000000) AS at, %s FROM range(%d) t(i)`
	usual := func(source, last string) string { return fmt.Sprintf(memoryDefinitions, source, last) }
	for _, tc := range []struct{ name, definitions, events, spine string }{
		{
			"one entity has most events", usual("", "amount"),
			fmt.Sprintf(events, "CASE WHEN i % 4 > 0 THEN 0 ELSE hash(i) % 1000 END::BIGINT", "1 AS one", 2_000_000), fmt.Sprintf(spine, "CASE WHEN i % 2 > 0 THEN 0 ELSE i % 1000 END::BIGINT", "i", 60_000),
		},
		{
			"ids, of which a fifth is repeated", usual("event_id: id\n", "amount"),
			fmt.Sprintf(events, "(hash(i) % 9000)::BIGINT", "'order-' || lpad(CASE WHEN i % 5 = 0 THEN i // 2 ELSE i END::VARCHAR, 20, '0') AS id", 1_500_000), fmt.Sprintf(spine, "i % 9000", "i", 60_000),
		},
		{
			"many entities", usual("", "amount"),
			fmt.Sprintf(events, "(hash(i) % 600000)::BIGINT", "1 AS one", 2_000_000), fmt.Sprintf(spine, "i", "i AS n", 600_000),
		},
		{
			"long texts", usual("", "text"),
			fmt.Sprintf(events, "(hash(i) % 900)::BIGINT", "repeat(md5(i::VARCHAR), 40) AS text", 150_000), fmt.Sprintf(spine, "i % 900", "repeat(md5(i::VARCHAR), 30) AS note", 60_000),
		},
		{
			"many lists of texts", listDefinitions(),
			fmt.Sprintf(events, "(hash(i) % 5000)::BIGINT", listColumns(), 100_000), fmt.Sprintf(spine, "i % 5000", "i", 10_000),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := &testProject{t, t.TempDir()}
			p.write("unskew.yaml", "project: memory\n")
			p.check(os.Mkdir(filepath.Join(p.dir, "features"), 0o755))
			p.write("features/defs.yaml", tc.definitions)
			db, err := duckdb.Open(duckdb.Options{Threads: 2, MemoryLimit: "500MB"})
			p.check(err)
			for file, sql := range map[string]string{"events.parquet": tc.events, "spine.parquet": tc.spine} {
				p.check(db.Exec(t.Context(), fmt.Sprintf("COPY (%s) TO '%s' (ROW_GROUP_SIZE 20480)", sql, filepath.Join(p.dir, file))))
			}
			p.check(db.Close())
			c := exec.Command("peak", "unskew", "train", "-q", "--memory", fmt.Sprint(limit, "B"), "--threads", "2", "--out", "out")
			c.Dir, c.Stderr = p.dir, os.Stderr
			out, err := c.Output()
			p.check(err)
			got, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
			p.check(err)
			t.Logf("%d MiB", got>>20)
			if got > limit-limit/4 || got == 0 { // the rest is for pages of files
				t.Errorf("the process had %d MiB of its own at its peak, with a limit of %d MiB", got>>20, limit>>20)
			}
		})
	}
}
