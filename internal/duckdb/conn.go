//go:build duckdb_arrow

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	bindings "github.com/duckdb/duckdb-go-bindings"
	"github.com/duckdb/duckdb-go/v2/arrowmapping"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// Options bound what DuckDB may use.
type Options struct {
	MemoryLimit string // such as "4GB"; "": DuckDB's default, 80 % of the machine
	Threads     int    // 0: one for each core
	TempDir     string // below which queries larger than MemoryLimit spill; "": the system's
	BaseDir     string // what relative paths are relative to; "": the working directory
	Databases   []Database
}

// DB is an in-memory DuckDB that reads relations from files and servers. It starts with its first
// statement. All methods may be called concurrently, except Close, which comes last.
type DB struct {
	options Options
	base    string // absolute
	start   func() error
	db      mapping.Database
	spill   *spillDir // nil: not started
	attachments
}

// Open makes a database, without starting it: where only files are read that need no DuckDB, its
// start, some 10 ms, would be most of the work.
func Open(o Options) (*DB, error) {
	base, err := filepath.Abs(o.BaseDir)
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: base directory %q: %w", o.BaseDir, err)
	}
	db := &DB{options: o, base: base, attachments: attachments{databases: o.Databases, attached: map[string]bool{}}}
	db.start = sync.OnceValue(db.open)
	return db, nil
}

func (db *DB) open() error {
	var config mapping.Config
	if mapping.CreateConfig(&config) == mapping.StateError {
		return errors.New("open DuckDB: it cannot allocate its configuration")
	}
	defer mapping.DestroyConfig(&config)
	for _, s := range db.options.settings() {
		if mapping.SetConfig(config, s[0], s[1]) == mapping.StateError {
			return fmt.Errorf("open DuckDB: it does not accept %s = %s", s[0], s[1])
		}
	}
	var err error
	if db.spill, err = newSpillDir(db.options.TempDir); err != nil {
		return fmt.Errorf("open DuckDB: temporary directory: %w", err)
	}
	var msg string
	if mapping.OpenExt("", &db.db, config, &msg) == mapping.StateError {
		return fmt.Errorf("open DuckDB: %s", msg)
	}
	session := strings.Join([]string{
		"SET GLOBAL TimeZone = 'UTC'",
		"SET GLOBAL preserve_insertion_order = true",
		"SET GLOBAL file_search_path = " + Quote(db.base),
		"SET GLOBAL temp_directory = " + Quote(db.spill.path),
		// The cache does not notice a file that is rewritten within a second.
		"SET GLOBAL enable_external_file_cache = false",
	}, "; ")
	c := &conn{}
	if mapping.Connect(db.db, &c.c) == mapping.StateError {
		return errors.New("open DuckDB: cannot connect to it")
	}
	defer c.close()
	var res mapping.Result
	defer mapping.DestroyResult(&res)
	if mapping.Query(c.c, session, &res) == mapping.StateError {
		return fmt.Errorf("open DuckDB: %s", mapping.ResultError(&res))
	}
	return nil
}

func (o Options) settings() [][2]string {
	// Installed extensions are loaded; none is downloaded without being asked for.
	s := [][2]string{{"autoinstall_known_extensions", "false"}}
	if o.MemoryLimit != "" {
		s = append(s, [2]string{"memory_limit", o.MemoryLimit})
	}
	if o.Threads > 0 {
		s = append(s, [2]string{"threads", strconv.Itoa(o.Threads)})
	}
	return s
}

// Close releases everything DuckDB holds.
func (db *DB) Close() error {
	if db.spill == nil {
		return nil
	}
	mapping.Close(&db.db)
	return db.spill.remove()
}

// Version is the version of the DuckDB library, such as "v1.5.6".
func Version() string { return mapping.LibraryVersion() }

// Base is the directory that relative paths are relative to, ending in a slash.
func (db *DB) Base() string { return db.base + string(filepath.Separator) }

// abs makes a path absolute as queries do.
func (db *DB) abs(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(db.base, path)
}

// Exec runs statements and discards their results, such as that of COPY … TO.
func (db *DB) Exec(ctx context.Context, sql string) error {
	c, err := db.connect()
	if err != nil {
		return err
	}
	defer c.close()
	stop := c.interruptOn(ctx)
	defer stop()
	var res mapping.Result
	defer mapping.DestroyResult(&res)
	if mapping.Query(c.c, sql, &res) == mapping.StateError {
		return db.queryError(ctx, mapping.ResultError(&res))
	}
	return nil
}

// conn is one session; it runs one statement at a time.
type conn struct{ c mapping.Connection }

func (db *DB) connect() (*conn, error) {
	if err := db.start(); err != nil {
		return nil, err
	}
	c := &conn{}
	if mapping.Connect(db.db, &c.c) == mapping.StateError {
		return nil, errors.New("connect to DuckDB: it has been closed")
	}
	return c, nil
}

func (c *conn) close() { mapping.Disconnect(&c.c) }

// interruptEvery is how often a cancelled statement is interrupted again: DuckDB
// forgets an interrupt that comes just before a statement starts.
const interruptEvery = 20 * time.Millisecond

// interruptOn interrupts the statements of c once ctx is cancelled. The returned function
// stops that and waits until no more interrupts are sent.
func (c *conn) interruptOn(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-done:
			return
		case <-ctx.Done():
		}
		again := time.NewTicker(interruptEvery)
		defer again.Stop()
		for {
			mapping.Interrupt(c.c)
			select {
			case <-done:
				return
			case <-again.C:
			}
		}
	}()
	return func() { close(done); <-ended }
}

// stream runs a query and calls f with its rows in order, in batches of
// bounded size, without holding the whole result; schema, if not nil, is called
// once before. A batch is valid only during the call. The first error of a callback
// ends the query and is returned.
func (db *DB) stream(ctx context.Context, sql string, schema func(*arrow.Schema) error, f func(arrow.RecordBatch) error) error {
	c, err := db.connect()
	if err != nil {
		return err
	}
	defer c.close()
	stop := c.interruptOn(ctx)
	defer stop()
	var stmt mapping.PreparedStatement
	defer mapping.DestroyPrepare(&stmt)
	if mapping.Prepare(c.c, sql, &stmt) == mapping.StateError {
		return db.queryError(ctx, mapping.PrepareError(stmt))
	}
	var pending mapping.PendingResult
	defer mapping.DestroyPending(&pending)
	if bindings.PendingPreparedStreaming(stmt, &pending) == mapping.StateError {
		return db.queryError(ctx, mapping.PendingError(pending))
	}
	var res mapping.Result
	defer mapping.DestroyResult(&res)
	if mapping.ExecutePending(pending, &res) == mapping.StateError {
		return db.queryError(ctx, mapping.ResultError(&res))
	}
	opts := arrowmapping.ResultGetArrowOptions(&res)
	defer arrowmapping.DestroyArrowOptions(&opts)
	fields, err := arrowSchema(&res, opts)
	if err != nil {
		return err
	}
	if schema != nil {
		if err := schema(fields); err != nil {
			return err
		}
	}
	return db.fetch(ctx, &res, opts, fields, f)
}

func (db *DB) fetch(ctx context.Context, res *mapping.Result, opts arrowmapping.ArrowOptions, schema *arrow.Schema, f func(arrow.RecordBatch) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := mapping.FetchChunk(*res)
		if chunk.Ptr == nil {
			if msg := mapping.ResultError(res); msg != "" {
				return db.queryError(ctx, msg)
			}
			return ctx.Err()
		}
		rec, ed := arrowmapping.DataChunkToArrowArray(opts, schema, chunk)
		mapping.DestroyDataChunk(&chunk)
		if err := takeError(ed); err != nil {
			return err
		}
		err := f(rec)
		rec.Release()
		if err != nil {
			return err
		}
	}
}

func arrowSchema(res *mapping.Result, opts arrowmapping.ArrowOptions) (*arrow.Schema, error) {
	n := mapping.ColumnCount(res)
	names, types := make([]string, n), make([]mapping.LogicalType, n)
	defer func() {
		for i := range types {
			mapping.DestroyLogicalType(&types[i])
		}
	}()
	for i := range n {
		names[i], types[i] = mapping.ColumnName(res, i), mapping.ColumnLogicalType(res, i)
	}
	schema, ed := arrowmapping.NewArrowSchema(opts, types, names)
	if err := takeError(ed); err != nil {
		return nil, err
	}
	return schema, nil
}

func takeError(ed mapping.ErrorData) error {
	defer mapping.DestroyErrorData(&ed)
	if !mapping.ErrorDataHasError(ed) {
		return nil
	}
	return fmt.Errorf("DuckDB's rows as Arrow: %s", mapping.ErrorDataMessage(ed))
}
