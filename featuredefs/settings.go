package featuredefs

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/featuredefs/yamldoc"
)

// Setting is a key of unskew.yaml, and what it is.
type Setting struct {
	Key   string // such as log.retain
	Env   string // the environment variable that overrides it; "" if none can
	Value string // as it was written; "" if there is none and no default
	From  string // file:line, the environment variable, or "default"
}

// setting is a key that an environment variable can override.
type setting struct {
	key, env string
	list     bool // comma separated in the variable
	unset    string
}

// Environment variables that decide where log and store are.
const (
	EnvDataDir        = "UNSKEW_DATA"
	EnvRedisAddresses = "UNSKEW_REDIS_ADDRESSES"
)

// settings are the keys of unskew.yaml that have one value and are not the project's own. What they have in unset is the default.
var settings = []setting{
	{key: "data", env: EnvDataDir, unset: DefaultDataDir},
	{key: "online.redis.addresses", env: EnvRedisAddresses, list: true, unset: "none: the embedded store"},
	{key: "online.redis.username", env: "UNSKEW_REDIS_USERNAME"},
	{key: "online.redis.password_file", env: "UNSKEW_REDIS_PASSWORD_FILE"},
	{key: "online.redis.sentinel_master", env: "UNSKEW_REDIS_SENTINEL_MASTER", unset: "none: the addresses are those of servers"},
	{key: "online.redis.sentinel_username", env: "UNSKEW_REDIS_SENTINEL_USERNAME"},
	{key: "online.redis.sentinel_password_file", env: "UNSKEW_REDIS_SENTINEL_PASSWORD_FILE"},
	{key: "online.redis.db", env: "UNSKEW_REDIS_DB", unset: "0"},
	{key: "online.redis.tls", env: "UNSKEW_REDIS_TLS", unset: "false"},
	{key: "online.redis.tls_ca", env: "UNSKEW_REDIS_TLS_CA", unset: "the system's authorities"},
	{key: "online.redis.tls_cert", env: "UNSKEW_REDIS_TLS_CERT"},
	{key: "online.redis.tls_key", env: "UNSKEW_REDIS_TLS_KEY"},
	{key: "online.redis.prefix", env: "UNSKEW_REDIS_PREFIX", unset: "unskew.PROJECT"},
	{key: "log.retain", env: "UNSKEW_LOG_RETAIN", unset: "for ever"},
	{key: "log.archive", env: "UNSKEW_LOG_ARCHIVE", unset: "archive in the data folder"},
	{key: "served_log.rate", env: "UNSKEW_SERVED_LOG_RATE", unset: "0%"},
	{key: "served_log.retain", env: "UNSKEW_SERVED_LOG_RETAIN", unset: "30d"},
	{key: "served_log.folder", env: "UNSKEW_SERVED_LOG_FOLDER", unset: "served in the data folder"},
}

// LoadSettings reads unskew.yaml of the project in dir, without its definitions, and returns what is in force, and what is wrong.
func LoadSettings(dir string) ([]Setting, diag.Diagnostics, error) {
	l := &loader{project: &Project{Dir: dir, Plan: &plan.Plan{}}}
	f, err := l.readConfig(dir)
	if err != nil {
		return nil, nil, err
	}
	l.parseConfig(f)
	return l.project.Settings, l.Found, nil
}

// override puts the values of environment variables into what unskew.yaml has. An empty variable is none.
func (l *loader) override(root *yamldoc.Node) {
	for _, s := range settings {
		text := os.Getenv(s.env)
		if text == "" || root.Kind != yamldoc.Mapping {
			continue
		}
		if strings.HasPrefix(s.key, "online.redis.") && !s.list && root.At("online", "redis") == nil {
			continue // how to reach a Redis says nothing without one
		}
		value := l.Given(s.env, text)
		if s.list {
			items := *value
			items.Kind, items.Text, items.Items = yamldoc.Sequence, "", nil
			for item := range strings.SplitSeq(text, ",") {
				items.Items = append(items.Items, l.Given(s.env, strings.TrimSpace(item)))
			}
			value = &items
		}
		root.Set(value, strings.Split(s.key, ".")...)
	}
}

// inForce lists what unskew.yaml and the environment say, and the defaults of what neither does.
func (l *loader) inForce(root *yamldoc.Node) {
	var out []Setting
	flatten(root, "", func(key string, n *yamldoc.Node, value string) {
		s := Setting{Key: key, Value: value, From: n.Pos.File}
		if i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key }); i >= 0 {
			s.Env = settings[i].env
		}
		if s.From != s.Env {
			s.From = fmt.Sprintf("%s:%d", n.Pos.File, n.Pos.Line)
		}
		out = append(out, s)
	})
	for _, s := range settings {
		if !slices.ContainsFunc(out, func(o Setting) bool { return o.Key == s.key }) {
			out = append(out, Setting{Key: s.key, Env: s.env, Value: s.unset, From: "default"})
		}
	}
	l.project.Settings = out
}

// flatten calls f with each value below a node, and the keys that lead to it.
func flatten(n *yamldoc.Node, key string, f func(key string, n *yamldoc.Node, value string)) {
	switch n.Kind {
	case yamldoc.Mapping:
		for _, e := range n.Entries {
			name := e.Key.Text
			if key != "" {
				name = key + "." + name
			}
			flatten(e.Value, name, f)
		}
	case yamldoc.Sequence:
		var items []string
		for _, item := range n.Items {
			items = append(items, item.Text)
		}
		f(key, n, strings.Join(items, ", "))
	case yamldoc.Scalar:
		f(key, n, n.Text)
	}
}
