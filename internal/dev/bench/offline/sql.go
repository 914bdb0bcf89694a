package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/unskew/unskew/internal/duckdb"
)

// runSQL is the subcommand `sql DIR THREADS STATEMENTS`: it runs statements in DIR. A query
// after a line "--" counts differences; it must return 0.
func runSQL(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: sql DIR THREADS STATEMENTS")
	}
	threads, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	// COPY TO takes a relative path from the working directory.
	if err := os.Chdir(args[0]); err != nil {
		return err
	}
	db, err := duckdb.Open(duckdb.Options{TempDir: ".", Threads: threads})
	if err != nil {
		return err
	}
	defer db.Close()
	statements, count, counts := strings.Cut(args[2], "\n--\n")
	ctx := context.Background()
	if err := db.Exec(ctx, statements); err != nil || !counts {
		return err
	}
	return db.Query(ctx, count, nil, func(rec arrow.RecordBatch) error {
		for _, n := range rec.Column(0).(*array.Int64).Int64Values() {
			if n != 0 {
				return fmt.Errorf("%d rows differ between the two sides", n)
			}
		}
		return nil
	})
}

// copyTo is a statement that writes the result of a query as Parquet, compressed like the
// files of a training set.
func copyTo(path, query string) string {
	return fmt.Sprintf("SET preserve_insertion_order = false; COPY (%s) TO '%s' (FORMAT parquet, COMPRESSION zstd)", query, path)
}

// span is a window: its width and, unless it is exact, its hop.
type span struct{ days, hop int64 } // hop in hours

const (
	hour = int64(3600e6) // µs
	day  = 24 * hour
)

// windowQuery computes aggregates over windows in one pass over events and spine together.
// Times are integers, in microseconds, because DuckDB's RANGE compares these faster than
// timestamps with intervals. With a hop, the lower end is rounded down to a multiple of it.
func windowQuery(spine, events string, spans []span) string {
	var selects, windows []string
	for i, s := range spans {
		lower := fmt.Sprint(s.days * day)
		if s.hop > 0 {
			lower += fmt.Sprintf(" + t %% %d", s.hop*hour)
		}
		selects = append(selects, fmt.Sprintf("coalesce(sum(x) OVER w%[1]d, 0) AS sum_%[1]d, count(x) OVER w%[1]d AS count_%[1]d, max(x) OVER w%[1]d AS max_%[1]d", i))
		windows = append(windows, fmt.Sprintf("w%d AS (PARTITION BY key ORDER BY t RANGE BETWEEN %s PRECEDING AND 1 PRECEDING)", i, lower))
	}
	return fmt.Sprintf(`SELECT row, key, make_timestamp(t) AS ts, label, %s
FROM (SELECT row, key, epoch_us(ts) AS t, label, NULL::DOUBLE AS x FROM '%s'
      UNION ALL SELECT NULL, key, epoch_us(ts), NULL, amount FROM '%s')
WINDOW %s QUALIFY row IS NOT NULL`, strings.Join(selects, ", "), spine, events, strings.Join(windows, ", "))
}

// latestQuery finds the latest event before each row; as there are no nulls, it has the latest
// value of each column.
func latestQuery(spine, events string) string {
	return fmt.Sprintf(`SELECT s.row, s.key, s.ts, s.label, e.amount, e.quantity, e.kind
FROM '%s' s ASOF LEFT JOIN '%s' e ON s.key = e.key AND s.ts > e.ts`, spine, events)
}

// differences is a query that counts the rows that are missing in one of the files or differ in
// a column by more than rounding of a sum.
func differences(ours, theirs string, columns map[string]string) string {
	differ := []string{"o.row IS NULL", "t.row IS NULL"}
	for o, t := range columns {
		differ = append(differ, fmt.Sprintf(`coalesce(o."%[1]s" IS DISTINCT FROM t."%[2]s" AND
(TRY_CAST(o."%[1]s" AS DOUBLE) IS NULL OR abs(TRY_CAST(o."%[1]s" AS DOUBLE) - TRY_CAST(t."%[2]s" AS DOUBLE)) > 1e-9 * (1 + abs(TRY_CAST(t."%[2]s" AS DOUBLE)))), true)`, o, t))
	}
	return fmt.Sprintf("SELECT count(*)::BIGINT AS n FROM '%s' o FULL JOIN '%s' t ON o.row = t.row WHERE %s", ours, theirs, strings.Join(differ, " OR "))
}
