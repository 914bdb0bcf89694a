package archtest

// A Package is one row of the table that ARCHITECTURE.md shows.
type Package struct {
	Path string // from the module root
	Does string
	// Never completes the sentence "this package never …"; "" if the imports say enough.
	Never string
	// Imports are the packages of this module that its code, without tests, may import. "…/*"
	// stands for every package below.
	Imports []string
}

// engine are the packages that compute features.
var engine = []string{
	"internal/kernel", "internal/kernel/agg", "internal/kernel/expr", "internal/vector", "internal/kernel/window",
}

// Table is the architecture: every package with code, and what it may import.
var Table = []Package{
	{"featuredefs", "a project folder becomes a plan: entities, sources, views, services, training sets, tests", "reads data",
		[]string{"featuredefs/*", "internal/celcost", "internal/celenv", "internal/cron", "internal/logpos"}},
	{"featuredefs/defstest", "writes definitions to project folders and loads them, for tests", "", []string{"featuredefs", "featuredefs/plan"}},
	{"featuredefs/lang", "the expression language: names, types, aggregates, rules about them", "knows files or declarations",
		[]string{"featuredefs/diag", "featuredefs/plan", "featuredefs/yamldoc", "internal/celenv"}},
	{"featuredefs/yamldoc", "YAML in which every character has its position", "knows the language",
		[]string{"featuredefs/diag", "featuredefs/plan", "internal/text"}},
	{"featuredefs/diag", "findings about definitions: rule, position, message, fix", "",
		[]string{"featuredefs/plan", "internal/nearest"}},
	{"featuredefs/plan", "the compiled form that everything else executes; canonical encodings; fingerprints", "imports more than the standard library",
		nil},
	{"internal/nearest", "finds the name a person probably meant", "", nil},
	{"internal/freshness", "knows up to which time live state contains the events of its source", "applies events", []string{"featuredefs/plan", "internal/cron", "internal/eventlog", "internal/onlinestore", "internal/registry", "internal/logpos"}},
	{"internal/catalog", "lists definitions, what each is made of, and what is made of it", "reads data", []string{"featuredefs/plan"}},
	{"internal/ledger", "records when serving could see events, and says it for training", "applies events", []string{"featuredefs/plan", "internal/onlinestore"}},
	{"internal/clock", "watches the clocks that times of events depend on", "", []string{"featuredefs/plan", "internal/eventlog", "internal/limits"}},
	{"internal/limits", "how large things may be, and how far clocks may differ", "", []string{"featuredefs/plan"}},
	{"internal/cron", "finds when a schedule of five fields runs", "", []string{"featuredefs/plan"}},
	{"internal/records", "rows of CSV and JSON text as batches, and what is wrong with the others", "knows features",
		[]string{"featuredefs/plan", "internal/nearest", "internal/text", "internal/vector"}},
	{"internal/text", "what a text is as a value of each column type, for files, pushes, flags and definitions", "guesses a type",
		[]string{"featuredefs/plan"}},
	{"internal/celenv", "the pinned CEL environment: libraries, types, values", "knows features", []string{"featuredefs/plan"}},
	{"internal/celcost", "bounds what evaluating an expression can cost", "evaluates", []string{"featuredefs/plan", "internal/limits"}},
	{"internal/vector", "typed columns with null and error bitmaps", "knows features", []string{"featuredefs/plan"}},
	{"internal/kernel/agg", "aggregates: add, remove, merge, value; canonical partials", "depends on order",
		[]string{"featuredefs/plan", "internal/vector"}},
	{"internal/kernel/expr", "evaluates checked CEL over columns", "differs from cel-go",
		[]string{"featuredefs/plan", "internal/celenv", "internal/vector"}},
	{"internal/dev/conformance", "runs the CEL specification's own tests through cel-go and the kernels", "",
		[]string{"featuredefs/plan", "internal/celenv", "internal/kernel/expr", "internal/vector"}},
	{"internal/kernel/window", "tiles, tails, expiry, assembly of windows", "evaluates expressions",
		[]string{"featuredefs/plan", "internal/kernel/agg"}},
	{"internal/kernel", "the one implementation of a feature's value: apply events, read as of T, replay a history", "does I/O, reads a clock, starts a goroutine",
		[]string{"featuredefs/plan", "internal/celenv", "internal/entitykey", "internal/kernel/*", "internal/vector", "internal/logpos"}},
	{"internal/oracle", "the oracle: the meaning of features, written to be read", "shares code with the engine except the plan and celenv",
		[]string{"featuredefs/plan", "internal/celenv"}},
	{"internal/oracle/gen", "random plans, events and reads that favour edge cases", "",
		[]string{"featuredefs/plan", "internal/oracle"}},
	{"internal/logpos", "positions in a log that is divided into shards", "", nil},
	{"internal/entitykey", "keys of entities as bytes: canonical, injective, in order", "", []string{"featuredefs/plan", "internal/vector"}},
	{"internal/ingest", "rows of sources and pushed events become canonical events", "computes features",
		[]string{"featuredefs/plan", "internal/cron", "internal/kernel", "internal/vector", "internal/entitykey", "internal/eventlog", "internal/limits"}},
	{"internal/access", "who calls a server, and what a caller may do", "", []string{"featuredefs/diag", "featuredefs/yamldoc"}},
	{"internal/access/accesstest", "makes certificates and tokens for tests", "is imported by anything but tests", nil},
	{"internal/gate", "lets operations into a resource until it is closed", "", nil},
	{"internal/eventlog", "contract of the ordered, durable, deduplicating log", "", []string{"featuredefs/plan", "internal/limits", "internal/logpos"}},
	{"internal/arrowparquet", "copies Parquet files to Arrow streams and back", "is imported by the server", nil},
	{"internal/tracing", "marks what takes time, for a tracer that a process may have", "knows a library of tracing", nil},
	{"internal/telemetry", "exports spans and metrics by OTLP", "is imported by the server that only serves", []string{"internal/tracing", "internal/version"}},
	{"internal/version", "knows which version of the program this is", "", nil},
	{"internal/eventlog/archive", "keeps trimmed records of a log in Parquet files and reads both as one history", "", []string{"featuredefs/plan", "internal/eventlog", "internal/parquetfile", "internal/pebbledir"}},
	{"internal/servedlog", "records a sample of what was answered in Parquet files, and reads them", "makes a request wait",
		[]string{"featuredefs/plan", "internal/entitykey", "internal/limits", "internal/logpos", "internal/parquetfile", "internal/vector"}},
	{"internal/explain", "shows how the value of a feature came about, event by event", "imports DuckDB",
		[]string{"featuredefs/plan", "internal/entitykey", "internal/eventlog", "internal/kernel", "internal/logpos", "internal/nearest", "internal/onlinestore", "internal/recompute", "internal/registry",
			"internal/servedlog", "internal/text", "internal/vector"}},
	{"internal/recompute", "computes answers of the served log again, in bulk or beside a server, and finds the causes of differences", "imports DuckDB; changes stored state",
		[]string{"featuredefs/plan", "internal/entitykey", "internal/eventlog", "internal/ingest", "internal/kernel", "internal/logpos", "internal/nearest", "internal/onlinestore", "internal/recompute/kept", "internal/registry", "internal/servedlog", "internal/vector"}},
	{"internal/recompute/kept", "keeps the deliveries of some entities in memory, and follows the log", "resolves deliveries",
		[]string{"featuredefs/plan", "internal/eventlog", "internal/ingest", "internal/kernel", "internal/logpos", "internal/servedlog", "internal/vector"}},
	{"internal/eventlog/logtest", "the suite that every event log passes", "", []string{"featuredefs/plan", "internal/eventlog"}},
	{"internal/eventlog/pebble", "the event log in an embedded database", "", []string{"featuredefs/plan", "internal/eventlog", "internal/gate", "internal/pebbledir"}},
	{"internal/eventlog/redis", "the event log on a Redis server", "", []string{"featuredefs/plan", "internal/eventlog", "internal/redisconn"}},
	{"internal/onlinestore", "contract of the store that live state is kept in", "", []string{"internal/limits"}},
	{"internal/onlinestore/storetest", "the suite that every online store passes", "", []string{"internal/onlinestore"}},
	{"internal/onlinestore/pebble", "the online store in an embedded database", "", []string{"internal/gate", "internal/onlinestore", "internal/pebbledir"}},
	{"internal/onlinestore/redis", "the online store on a Redis server", "", []string{"internal/onlinestore", "internal/redisconn"}},
	{"internal/pebbledir", "opens a directory with an embedded database", "", nil},
	{"internal/redisconn", "connects to Redis and checks that the server keeps what it is given", "", []string{"internal/gate"}},
	{"internal/redistest", "starts a real redis-server for a test", "is imported by anything but tests", nil},
	{"internal/lease", "divides the shards of logs among the servers that apply them", "protects data", []string{"internal/eventlog", "internal/redisconn"}},
	{"internal/backend", "opens the event log and the online store of a configuration", "",
		[]string{"internal/eventlog", "internal/eventlog/archive", "internal/eventlog/pebble", "internal/eventlog/redis", "internal/onlinestore", "internal/onlinestore/pebble", "internal/onlinestore/redis",
			"internal/redisconn", "internal/registry", "internal/servedlog", "internal/storehost", "internal/pebbledir", "featuredefs", "featuredefs/plan", "internal/limits", "internal/lease"}},
	{"internal/storehost", "lends the embedded log and store of one process to others on the machine, through a socket", "is called over a network",
		[]string{"featuredefs/plan", "internal/eventlog", "internal/gate", "internal/limits", "internal/onlinestore", "internal/version"}},
	{"internal/backend/backendtest", "opens logs and stores of each kind for tests", "", []string{"internal/backend", "internal/eventlog", "internal/redisconn", "internal/redistest"}},
	{"internal/registry", "which build of each view's state is live, where it lies, and which entities it has", "", []string{"featuredefs/plan", "internal/kernel", "internal/onlinestore", "internal/logpos"}},
	{"internal/duckdb", "runs queries over files, servers and databases; the only cgo", "computes features", nil},
	{"internal/relation", "where rows come from: files and queries as batches of columns", "computes features",
		[]string{"featuredefs/plan", "internal/duckdb", "internal/nearest", "internal/records", "internal/text", "internal/vector"}},
	{"internal/parquetfile", "writes Parquet files, several row groups at a time, and small ones of rows, which it reads too", "knows features", []string{"featuredefs/plan", "internal/vector"}},
	{"internal/parquetfile/arrowfile", "Parquet files of Arrow columns, whose metadata has their Arrow schema", "is imported by the server", []string{"featuredefs/plan", "internal/parquetfile", "internal/vector"}},
	{"internal/disktest", "gives tests a disk that is full", "is imported by anything but tests", nil},
	{"internal/pythontest", "gives tests a Python with pinned packages", "is imported by anything but tests", nil},
	{"proto", "generated code of the wire contract in proto/", "is edited by hand", []string{"proto/unskew/*"}},
	{"internal/wire", "values between the wire contract and columns", "", []string{"featuredefs/plan", "proto/unskew/*", "internal/vector"}},
	{"internal/webpage", "what all HTML pages have in common: style, tables that can be sorted, how numbers are written", "", nil},
	{"internal/ui", "the pages that people look at: of a server, and as one file", "computes features; loads anything from elsewhere",
		[]string{"featuredefs/plan", "internal/explain", "internal/recompute", "internal/webpage"}},
	{"materializer/report", "what a training set looks like: report.json and report.html", "reads data",
		[]string{"featuredefs/plan", "internal/kernel", "internal/vector", "internal/webpage"}},
	{"materializer/offline", "spine × history → training set and manifest; backfill of live state", "imports the server",
		[]string{"internal/tracing", "materializer/report", "featuredefs/plan", "internal/entitykey", "internal/eventlog", "internal/ingest", "internal/onlinestore", "internal/registry", "internal/parquetfile", "internal/parquetfile/arrowfile", "internal/relation", "internal/kernel", "internal/vector", "internal/ledger", "internal/limits", "internal/logpos"}},
	{"materializer/online", "event log → kernel → live state, and reads of it", "imports the server or DuckDB",
		[]string{"internal/tracing", "featuredefs/plan", "internal/entitykey", "internal/eventlog", "internal/eventlog/archive", "internal/ingest", "internal/nearest", "internal/onlinestore", "internal/registry", "internal/kernel", "internal/vector", "internal/limits", "internal/logpos", "internal/lease"}},
	{"materializer/servedset", "what was served, with what came of it, as the spine and the values of a training set", "computes features",
		[]string{"featuredefs/plan", "internal/eventlog", "internal/kernel", "internal/nearest", "internal/parquetfile", "internal/parquetfile/arrowfile", "internal/relation", "internal/servedlog", "internal/vector", "materializer/offline"}},
	{"materializer/training", "training sets as jobs: a queue on disk, uploaded spines, results as streams", "computes features",
		[]string{"internal/limits"}},
	{"server", "the service: handlers, error codes, authentication, metrics", "imports DuckDB",
		[]string{"internal/tracing", "featuredefs/plan", "internal/access", "internal/entitykey", "internal/eventlog", "internal/explain", "internal/recompute", "proto/unskew/*", "internal/ingest", "internal/kernel", "internal/vector",
			"internal/nearest", "internal/records", "internal/freshness", "internal/onlinestore", "internal/servedlog", "internal/registry", "internal/wire", "internal/limits", "materializer/training", "internal/logpos"}},
	{"sdk", "the Go client", "imports more than Connect, Protobuf, Arrow and the wire contract; exports an internal type", []string{"proto/unskew/*", "internal/wire"}},
	{"inprocess", "serves a project inside a Go program, through the server's handler", "imports DuckDB; exports an internal type",
		[]string{"featuredefs", "featuredefs/plan", "internal/backend", "internal/clock", "internal/freshness", "internal/limits", "internal/registry", "internal/servedlog", "materializer/online", "sdk", "server"}},
	{"validate", "compares definitions with those before them; what expressions cost", "reads data",
		[]string{"featuredefs/diag", "featuredefs/plan", "internal/celcost", "internal/celenv", "internal/kernel/expr"}},
	{"validate/golden", "runs authors' tests through the oracle, the replay and the online path", "",
		[]string{"featuredefs", "featuredefs/plan", "internal/backend", "internal/ingest", "internal/oracle",
			"validate/parity", "internal/kernel", "internal/vector", "materializer/offline"}},
	{"validate/arrival", "measures when events and late columns arrived, and which known_at says so", "changes the log",
		[]string{"featuredefs/plan", "internal/cron", "internal/eventlog", "internal/ingest", "internal/ledger", "internal/relation", "materializer/offline", "internal/kernel"}},
	{"validate/against", "compares values of another system with those of the definitions, and tries which mistakes explain the differences", "changes the project's data",
		[]string{"featuredefs/plan", "internal/entitykey", "internal/eventlog", "internal/kernel", "internal/nearest", "internal/parquetfile/arrowfile", "internal/recompute", "internal/relation", "internal/vector", "materializer/offline"}},
	{"validate/against/live", "reads values from the feature server of another system", "changes anything there",
		[]string{"featuredefs/plan", "internal/entitykey", "internal/eventlog", "internal/kernel", "internal/nearest", "internal/parquetfile/arrowfile", "internal/relation", "internal/text", "internal/vector", "materializer/offline"}},
	{"validate/perturb", "recomputes rows of training sets with another future", "changes the project's data",
		[]string{"featuredefs/diag", "featuredefs/plan", "internal/entitykey", "internal/eventlog", "internal/ingest", "internal/kernel", "internal/parquetfile", "internal/parquetfile/arrowfile",
			"internal/relation", "internal/vector", "materializer/offline"}},
	{"validate/parity", "drives the whole path, recomputes served values and attributes differences", "changes stored state",
		[]string{"featuredefs/plan", "internal/backend", "internal/eventlog", "internal/ingest", "internal/onlinestore", "internal/registry",
			"internal/recompute", "internal/servedlog", "internal/wire", "materializer/offline", "materializer/online", "sdk", "server", "internal/kernel", "internal/vector", "internal/logpos"}},
	{"internal/serving", "runs the server of a project, with all that works beside it", "imports DuckDB",
		[]string{"featuredefs", "featuredefs/plan", "internal/access", "internal/backend", "internal/clock", "internal/entitykey", "internal/eventlog", "internal/explain", "internal/freshness",
			"internal/ingest", "internal/vector", "internal/ledger", "internal/limits", "internal/nearest", "internal/onlinestore", "internal/recompute", "internal/redisconn", "internal/registry", "internal/servedlog", "internal/text", "materializer/online", "materializer/training", "server"}},
	{"cmd/unskew-server", "the command that only serves, without cgo", "computes anything", []string{"featuredefs", "internal/serving", "internal/version"}},
	{"cmd/unskew", "the command: flags, wiring, exit codes, one file for each command", "computes anything",
		[]string{"featuredefs", "featuredefs/diag", "featuredefs/plan", "internal/*", "materializer/*", "server", "sdk", "validate", "validate/*"}},
	{"examples/flights", "the example: a year of flights, its definitions and their tests", "", nil},
	{"examples/flights/convert", "makes the example's data from its source", "", nil},
	{"internal/dev/bench", "what benchmark programs share: definitions, timing, reports", "", []string{"featuredefs", "featuredefs/plan"}},
	{"internal/dev/bench/cel", "compares the speed of the expression kernels with that of cel-go", "",
		[]string{"featuredefs/plan", "internal/dev/bench", "internal/celenv", "internal/kernel/expr", "internal/vector"}},
	{"internal/dev/bench/agg", "compares the speed of the kernel with programs written for one job", "",
		[]string{"featuredefs/plan", "internal/dev/bench", "internal/kernel", "internal/kernel/agg", "internal/vector"}},
	{"internal/dev/bench/workload", "what the serving benchmarks serve: views, orders, values computed by hand", "",
		[]string{"featuredefs/plan", "internal/entitykey", "internal/kernel", "internal/onlinestore", "internal/registry", "internal/vector"}},
	{"internal/dev/bench/online", "measures reads of a server against one round trip to Redis", "",
		[]string{"featuredefs/plan", "internal/dev/bench", "internal/dev/bench/workload", "internal/limits", "internal/onlinestore/redis", "internal/registry",
			"proto/unskew/*", "server"}},
	{"internal/dev/bench/offline", "compares training sets, as whole processes, with SQL in DuckDB", "",
		[]string{"featuredefs/plan", "internal/dev/bench", "internal/duckdb", "internal/parquetfile", "internal/parquetfile/arrowfile", "internal/relation"}},
	{"internal/dev/bench/apply", "measures the applier against reading and writing as many bytes", "",
		[]string{"featuredefs/plan", "internal/dev/bench", "internal/dev/bench/workload", "internal/eventlog", "internal/eventlog/pebble",
			"internal/eventlog/redis", "internal/ingest", "internal/kernel", "internal/onlinestore", "internal/onlinestore/pebble",
			"internal/onlinestore/redis", "internal/registry", "materializer/offline", "materializer/online", "internal/logpos", "internal/lease", "internal/redisconn"}},
	{"internal/dev/bench/parity", "measures what recording and recomputing answers costs a server", "", []string{"internal/dev/bench", "sdk"}},
	{"internal/dev/bounds", "loads a real server in the ways in which servers are brought down", "",
		[]string{"internal/dev/bench", "proto/unskew/*", "sdk"}},
	{"internal/dev/soak", "runs a real server for long and checks that nothing grows", "",
		[]string{"internal/dev/bench"}},
	{"internal/dev/mutants", "breaks the program on purpose and checks that a test fails", "", nil},
	{"internal/dev/archtest", "this table as a test that reads the sources", "", nil},
}

// Owners are other modules and the packages whose code may import them; the first match
// counts. A module that is not listed must not be imported.
var Owners = []struct {
	Module   string
	Packages []string
}{
	{"cel.dev/cel-go", []string{"featuredefs/lang", "internal/celcost", "internal/celenv", "internal/kernel/expr", "internal/dev/conformance", "internal/oracle", "internal/dev/bench/cel"}},
	{"cel.dev/expr", []string{"internal/dev/conformance"}},
	{"github.com/goccy/go-yaml", []string{"featuredefs/yamldoc"}},
	{"github.com/robfig/cron/v3", []string{"internal/cron"}},
	{"github.com/redis/rueidis", []string{"internal/eventlog/redis", "internal/lease", "internal/onlinestore/redis", "internal/redisconn", "internal/redistest", "internal/dev/bench/online", "internal/dev/bench/apply"}},
	{"golang.org/x/net", []string{"internal/dev/bench/online", "internal/dev/bounds"}},
	{"github.com/cockroachdb/pebble/v2/vfs", []string{"internal/eventlog/pebble", "internal/onlinestore/pebble", "internal/pebbledir", "internal/backend"}},
	{"github.com/cockroachdb/pebble/v2", []string{"internal/eventlog/pebble", "internal/onlinestore/pebble", "internal/pebbledir"}},
	{"github.com/parquet-go/parquet-go", []string{"internal/relation", "internal/parquetfile", "internal/parquetfile/arrowfile"}},
	{"github.com/duckdb", []string{"internal/duckdb"}},
	{"github.com/go-jose/go-jose/v4", []string{"internal/access"}},
	{"go.opentelemetry.io", []string{"internal/telemetry"}},
	{"github.com/apache/arrow-go/v18", []string{"internal/duckdb", "internal/relation", "internal/arrowparquet", "internal/parquetfile/arrowfile", "materializer/offline", "validate/parity", "validate/perturb", "examples/flights/convert", "sdk", "internal/dev/bench/offline", "internal/dev/bounds"}},
	{"connectrpc.com", []string{"proto/unskew/*", "server", "sdk", "internal/dev/bounds", "internal/storehost"}},
	{"google.golang.org/protobuf", []string{"internal/telemetry", "proto/*", "internal/dev/conformance", "internal/wire", "server", "sdk", "internal/dev/bench/online", "internal/dev/bounds"}},
	{"buf.build", []string{"proto/unskew/*"}},
	{"github.com/prometheus/client_golang", []string{"cmd/unskew", "internal/telemetry", "internal/clock", "internal/freshness", "internal/recompute", "internal/servedlog", "internal/serving", "materializer/online", "server"}},
	{"golang.org/x/sync", []string{"internal/recompute", "inprocess", "internal/eventlog", "internal/freshness", "internal/serving", "materializer/*", "internal/dev/bench/apply", "internal/dev/bench/offline"}},
	{"golang.org/x/term", []string{"cmd/unskew"}},
	{"github.com/spf13/cobra", []string{"cmd/unskew", "cmd/unskew-server"}},
	{"github.com/spf13/pflag", []string{"internal/serving"}},
	{"github.com/klauspost/compress", []string{"internal/records"}},
	{"github.com/cespare/xxhash/v2", []string{"internal/kernel/agg"}},
	{"pgregory.net/rapid", []string{"internal/oracle/gen", "internal/eventlog/logtest", "internal/onlinestore/storetest", "internal/backend/backendtest"}},
}

// TestModules may be imported by the tests of every package; vfs is for in-memory databases,
// Arrow for reading what a server sends.
var TestModules = []string{"github.com/apache/arrow-go/v18", "pgregory.net/rapid", "github.com/rogpeppe/go-internal", "cel.dev/expr", "github.com/cockroachdb/pebble/v2/vfs", "golang.org/x/net/html"}

// TestPackages are imported only by tests and by each other.
var TestPackages = []string{
	"internal/redistest", "internal/disktest", "internal/pythontest", "internal/backend/backendtest", "internal/oracle/gen", "internal/eventlog/logtest", "internal/onlinestore/storetest",
}

// Unreachable are pairs of packages of which the first must not import the second, not even
// indirectly: a serving binary builds without cgo, and a client without an engine.
var Unreachable = []struct{ From, To string }{
	{"server", "internal/duckdb"},
	{"internal/serving", "internal/parquetfile/arrowfile"}, // Arrow's arrays are large
	{"server", "internal/relation"},
	{"inprocess", "internal/duckdb"},
	{"materializer/online", "internal/duckdb"},
	{"materializer/online", "internal/relation"},
	{"internal/recompute", "internal/duckdb"},
	{"internal/recompute", "materializer/online"}, // what served cannot vouch for itself
	{"internal/serving", "internal/telemetry"},    // nor does it export by OTLP
	{"internal/serving", "internal/ui"},           // the server that only serves has no pages, for its size
	{"materializer/offline", "server"},
	{"materializer/online", "server"},
	{"materializer/online", "materializer/offline"},
	{"sdk", "internal/kernel"},
	{"sdk", "server"},
	{"internal/kernel", "internal/onlinestore"},
	{"internal/oracle", "internal/kernel"},
	{"internal/oracle", "internal/kernel/agg"},
	{"internal/oracle", "internal/kernel/expr"},
	{"internal/oracle", "internal/kernel/window"},
}

// Public are the packages that other modules import. Their exported declarations use no
// internal package.
var Public = []string{"inprocess", "sdk"}

// Pure are the packages whose code neither reads a clock nor does I/O nor starts
// a goroutine: their results depend only on their arguments.
var Pure = append([]string{"featuredefs/plan", "internal/celcost", "internal/celenv", "internal/entitykey"}, engine...)

// impure are the packages of the standard library that Pure packages must not import.
var impure = []string{
	"context", "database/sql", "io/fs", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2",
	"net", "os", "runtime/metrics", "syscall", "testing",
}

// clocks are the functions of package time that depend on when they are called.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Local"}

// badNames do not say what a package does.
var badNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared", "impl", "base", "lib"}

// maxLines is the largest number of lines of a file.
const maxLines = 700
