package featuredefs

import (
	"path/filepath"

	"github.com/unskew/unskew/featuredefs/plan"
)

// Online says where the event log and the online store live.
type Online struct {
	DataDir string // of the embedded log and store, and other local state; relative to the project
	Redis   *Redis // nil: embedded
}

// Redis says how to reach a Redis server or cluster. A password is no part of a
// project; it comes from the environment.
type Redis struct {
	Addresses []string // host:port
	Username  string
	DB        int
	TLS       bool
	Prefix    string // of every key, so that projects can share a server
}

// DefaultDataDir is where embedded data lies unless unskew.yaml says otherwise.
const DefaultDataDir = ".unskew"

// parseConfig reads unskew.yaml.
func (l *loader) parseConfig(f *sourceFile) {
	l.project.Online = Online{DataDir: DefaultDataDir}
	docs := l.parseFile(f)
	if len(docs) == 0 {
		if l.errors == 0 {
			l.errorf(f.pos(1, 1), RuleMissingKey, "%s is empty; it needs at least project: NAME", ConfigFile)
		}
		return
	}
	for _, extra := range docs[1:] {
		l.errorf(extra.pos, RuleYAMLSyntax, "%s holds one document; definitions belong into %s/", ConfigFile, FeaturesDir)
	}
	o := l.object(docs[0], ConfigFile, "project", "online", "data")
	if o == nil {
		return
	}
	if n := o.need("project"); n != nil {
		l.project.Name = l.projectName(n)
		l.project.Plan.Project = l.project.Name
	}
	if dir := o.text("data"); dir != "" {
		l.project.Online.DataDir = filepath.FromSlash(dir)
	}
	if n := o.get("online"); n != nil {
		l.parseOnline(n)
	}
}

// projectName is a name that can stand in keys and file names.
func (l *loader) projectName(n *node) string {
	s := l.scalarText(n, "project")
	for i, c := range s {
		ok := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '.')
		if !ok {
			l.errorf(n.pos, RuleBadName, "project %q: use letters, digits, underscores, and after the first character - and .", s)
			return ""
		}
	}
	return s
}

func (l *loader) parseOnline(n *node) {
	if n.kind == scalarNode {
		if n.text != "embedded" {
			l.errorf(n.pos, RuleWrongValue, "online is %s%s; it takes embedded or {redis: {addresses: [host:port]}}",
				n.describe(), didYouMean(n.text, []string{"embedded"}))
		}
		return
	}
	o := l.object(n, "online", "redis")
	if o == nil {
		return
	}
	if n := o.need("redis"); n != nil {
		l.project.Online.Redis = l.parseRedis(n)
	}
}

func (l *loader) parseRedis(n *node) *Redis {
	o := l.object(n, "online.redis", "addresses", "username", "db", "tls", "prefix")
	if o == nil {
		return nil
	}
	o.need("addresses")
	r := &Redis{Addresses: o.texts("addresses"), Username: o.text("username"), TLS: o.boolean("tls"), Prefix: o.text("prefix")}
	if v, ok := o.typed("db", plan.T(plan.Int)); ok {
		r.DB = int(v.Int())
	}
	return r
}
