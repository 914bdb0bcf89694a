package featuredefs

import (
	"path/filepath"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// Online is where the event log and the online store are.
type Online struct {
	DataDir string // of the embedded log and store, and other local state; relative to the project
	Redis   *Redis // nil: embedded
}

// Redis is how to connect to a Redis server or cluster. Passwords are not part of a project;
// they come from the environment.
type Redis struct {
	Addresses []string // host:port
	Username  string
	DB        int
	TLS       bool
	Prefix    string // prefix of every key, so that projects can share a server
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
	o := l.Object(docs[0], ConfigFile, "project", "online", "data")
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
	if n := o.Get("online"); n != nil {
		l.parseOnline(n)
	}
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
	o := l.Object(n, "online.redis", "addresses", "username", "db", "tls", "prefix")
	if o == nil {
		return nil
	}
	o.Need("addresses")
	r := &Redis{Addresses: o.Texts("addresses"), Username: o.Text("username"), TLS: o.Boolean("tls"), Prefix: o.Text("prefix")}
	if v, ok := o.Typed("db", plan.T(plan.Int)); ok {
		r.DB = int(v.Int())
	}
	return r
}
