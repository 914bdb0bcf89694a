package featuredefs

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// Online is where the event log and the online store are.
type Online struct {
	DataDir string // of the embedded log and store, and other local state; relative to the project
	Redis   *Redis // nil: embedded
	// Retain is how long a server keeps records in the log, which it archives then; 0: it archives and trims nothing.
	Retain  plan.Micros
	Archive string // folder of archived records, relative to the project; "": archive in DataDir
}

// Redis is how to connect to a Redis server or cluster, or to the master that sentinels name. Passwords are not part of a
// project; they come from the environment or from files. Paths are relative to the project.
type Redis struct {
	Addresses            []string // host:port
	Username             string
	PasswordFile         string
	SentinelMaster       string // the name of the master, if Addresses are those of sentinels
	SentinelUsername     string
	SentinelPasswordFile string
	DB                   int
	TLS                  bool
	TLSCA                string // file of the authorities that are trusted; "": those of the system
	TLSCert, TLSKey      string // files of the client's certificate; "": none
	Prefix               string // prefix of every key, so that projects can share a server
}

// Database is a database that sql: can name, as in SELECT … FROM name.table. It is read, never written.
type Database struct {
	Name string
	Type string // "duckdb", "sqlite" or "postgres"
	Path string // of the file, relative to the project; "" for postgres
	// Env is the environment variable, and SecretFile the file relative to the project, with the
	// connection string of postgres. One of them is "".
	Env, SecretFile string
}

// DefaultDataDir is the default folder for embedded data.
const DefaultDataDir = ".unskew"

// parseConfig reads unskew.yaml.
func (l *loader) parseConfig(f *yamldoc.File) {
	l.project.Online = Online{DataDir: DefaultDataDir}
	docs := l.Documents(f)
	if len(docs) == 0 {
		if l.Errors == 0 {
			l.Errorf(f.Pos(1, 1), yamldoc.RuleMissingKey, "%s is empty; write at least project: NAME", ConfigFile)
		}
		return
	}
	for _, extra := range docs[1:] {
		l.Errorf(extra.Pos, yamldoc.RuleYAMLSyntax, "%s must have one document; put definitions into %s/", ConfigFile, FeaturesDir)
	}
	l.override(docs[0])
	l.inForce(docs[0])
	o := l.Object(docs[0], ConfigFile, "project", "online", "data", "log", "served_log", "attach")
	if o == nil {
		return
	}
	if n := o.Need("project"); n != nil {
		l.project.Name = l.projectName(n)
		l.project.Plan.Project = l.project.Name
	}
	if dir := o.Text("data"); dir != "" {
		l.project.Online.DataDir = filepath.FromSlash(dir)
	}
	if n := o.Get("log"); n != nil {
		if log := l.Object(n, "log", "retain", "archive"); log != nil {
			l.project.Online.Retain, _ = log.Span("retain")
			l.project.Online.Archive = filepath.FromSlash(log.Text("archive"))
		}
	}
	if n := o.Get("online"); n != nil {
		l.parseOnline(n)
	}
	if n := o.Get("served_log"); n != nil {
		l.parseServedLog(n)
	}
	if n := o.Get("attach"); n != nil {
		l.parseDatabases(n)
	}
}

// LoadDatabases reads the databases that the project in dir declares, without its definitions. It
// returns those without errors; Load reports the errors.
func LoadDatabases(dir string) ([]Database, error) {
	l := &loader{project: &Project{Dir: dir, Plan: &plan.Plan{}}}
	f, err := l.readConfig(dir)
	if err != nil {
		return nil, err
	}
	l.parseConfig(f)
	return l.project.Databases, nil
}

// parseDatabases reads attach.
func (l *loader) parseDatabases(n *yamldoc.Node) {
	if n.Kind != yamldoc.Mapping {
		l.Errorf(n.Pos, yamldoc.RuleWrongValue, "attach must be a mapping like {crm: {duckdb: data/crm.duckdb}}, found %s", n.Describe())
		return
	}
	l.UniqueKeys(n)
	for _, e := range n.Entries {
		if name := l.catalog(e.Key); name != "" {
			l.parseDatabase(name, e.Value)
		}
	}
}

// catalog reads the name of a database. DuckDB's names have no case.
func (l *loader) catalog(n *yamldoc.Node) string {
	name := l.Identifier(n, "database")
	if slices.Contains([]string{"main", "memory", "system", "temp"}, strings.ToLower(name)) {
		l.Errorf(n.Pos, yamldoc.RuleBadName, "database %q: DuckDB has a database or schema of that name; choose another name", name)
		return ""
	}
	for _, d := range l.project.Databases {
		if d.Name != name && strings.EqualFold(d.Name, name) {
			l.Errorf(n.Pos, yamldoc.RuleBadName, "database %q: SQL does not tell it from %q; rename one", name, d.Name)
			return ""
		}
	}
	return name
}

func (l *loader) parseDatabase(name string, n *yamldoc.Node) {
	what, errors := "attach."+name, l.Errors
	o := l.Object(n, what, "duckdb", "sqlite", "postgres")
	if o == nil {
		return
	}
	d := Database{Name: name}
	kinds := 0
	for _, kind := range []string{"duckdb", "sqlite"} {
		if o.Get(kind) != nil {
			kinds++
			d.Type, d.Path = kind, filepath.FromSlash(o.Text(kind))
		}
	}
	if p := o.Get("postgres"); p != nil {
		kinds++
		d.Type = "postgres"
		// A connection string has a password, which is not part of a project.
		p := l.Object(p, what+".postgres", "env", "file")
		if p == nil {
			return
		}
		if d.Env, d.SecretFile = p.Text("env"), filepath.FromSlash(p.Text("file")); (d.Env == "") == (d.SecretFile == "") {
			l.Errorf(p.Node.Pos, yamldoc.RuleWrongValue, "%s.postgres takes either env, an environment variable, or file; each contains the connection string", what)
			return
		}
	}
	if kinds != 1 || d.Type != "postgres" && d.Path == "" {
		if l.Errors == errors {
			l.Errorf(o.Node.Pos, yamldoc.RuleWrongValue, "%s takes one of {duckdb: FILE}, {sqlite: FILE} and {postgres: {env: VARIABLE}}", what)
		}
		return
	}
	l.project.Databases = append(l.project.Databases, d)
}

// projectName matches names that can be part of keys and file names.
func (l *loader) projectName(n *yamldoc.Node) string {
	s := l.ScalarText(n, "project")
	for i, c := range s {
		ok := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '.')
		if !ok {
			l.Errorf(n.Pos, yamldoc.RuleBadName, "project %q: use letters, digits and underscores; - and . are allowed after the first character", s)
			return ""
		}
	}
	return s
}

func (l *loader) parseOnline(n *yamldoc.Node) {
	if n.Kind == yamldoc.Scalar {
		if n.Text != "embedded" {
			l.Errorf(n.Pos, yamldoc.RuleWrongValue, "online is %s%s; it takes embedded or {redis: {addresses: [host:port]}}",
				n.Describe(), diag.DidYouMean(n.Text, []string{"embedded"}))
		}
		return
	}
	o := l.Object(n, "online", "redis")
	if o == nil {
		return
	}
	if n := o.Need("redis"); n != nil {
		l.project.Online.Redis = l.parseRedis(n)
	}
}

func (l *loader) parseRedis(n *yamldoc.Node) *Redis {
	if n.Kind == yamldoc.Mapping {
		n.Entries = slices.DeleteFunc(n.Entries, func(e yamldoc.Entry) bool {
			env := map[string]string{"password": "UNSKEW_REDIS_PASSWORD", "sentinel_password": "UNSKEW_REDIS_SENTINEL_PASSWORD"}[e.Key.Text]
			if env != "" {
				l.Errorf(e.Key.Pos, yamldoc.RuleUnknownKey, "a password is not part of a project; remove it here and set the environment variable %s, or name a file: %s_file", env, e.Key.Text)
			}
			return env != ""
		})
	}
	o := l.Object(n, "online.redis", "addresses", "username", "password_file", "sentinel_master", "sentinel_username", "sentinel_password_file",
		"db", "tls", "tls_ca", "tls_cert", "tls_key", "prefix")
	if o == nil {
		return nil
	}
	o.Need("addresses")
	r := &Redis{
		Addresses: o.Texts("addresses"), Username: o.Text("username"), PasswordFile: o.Text("password_file"),
		SentinelMaster: o.Text("sentinel_master"), SentinelUsername: o.Text("sentinel_username"), SentinelPasswordFile: o.Text("sentinel_password_file"),
		TLS: o.Boolean("tls"), TLSCA: o.Text("tls_ca"), TLSCert: o.Text("tls_cert"), TLSKey: o.Text("tls_key"), Prefix: o.Text("prefix"),
	}
	for _, key := range []string{"tls_ca", "tls_cert", "tls_key"} {
		if n := o.Get(key); n != nil && !r.TLS {
			l.Errorf(n.Pos, yamldoc.RuleWrongValue, "online.redis.%s has no effect without tls: true; write that, too, or remove it", key)
		}
	}
	for _, key := range []string{"sentinel_username", "sentinel_password_file"} {
		if n := o.Get(key); n != nil && r.SentinelMaster == "" {
			l.Errorf(n.Pos, yamldoc.RuleWrongValue, "online.redis.%s has no effect without sentinel_master, the name of the master that the sentinels at the addresses watch", key)
		}
	}
	if (r.TLSCert == "") != (r.TLSKey == "") {
		l.Errorf(n.Pos, yamldoc.RuleMissingKey, "online.redis has one of tls_cert and tls_key; a client certificate needs both")
	}
	if v, ok := o.Typed("db", plan.T(plan.Int)); ok {
		r.DB = int(v.Int())
	}
	return r
}
