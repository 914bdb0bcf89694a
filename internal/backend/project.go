package backend

import (
	"os"
	"path/filepath"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redisconn"
)

// The environment variables with passwords, which are no part of a project.
const (
	EnvRedisPassword    = "UNSKEW_REDIS_PASSWORD"
	EnvSentinelPassword = "UNSKEW_REDIS_SENTINEL_PASSWORD"
)

// Of returns the log and store that unskew.yaml and the environment configure for a project.
func Of(p *featuredefs.Project) Config {
	r := p.Online.Redis
	if r == nil {
		return Config{Dir: DataDir(p), Archive: archiveDir(p)}
	}
	conn := redisconn.Options{
		Addresses: r.Addresses, SentinelMaster: r.SentinelMaster, DB: r.DB, Namespace: r.Prefix,
		Credentials: credentials(p, r.Username, EnvRedisPassword, r.PasswordFile),
		Sentinel:    credentials(p, r.SentinelUsername, EnvSentinelPassword, r.SentinelPasswordFile),
	}
	if conn.Namespace == "" {
		conn.Namespace = "unskew." + p.Name
	}
	if r.TLS {
		conn.TLS = &redisconn.TLS{CA: inProject(p, r.TLSCA), Certificate: inProject(p, r.TLSCert), Key: inProject(p, r.TLSKey)}
	}
	return Config{Redis: &conn, Archive: archiveDir(p)}
}

func credentials(p *featuredefs.Project, username, env, file string) redisconn.Credentials {
	return redisconn.Credentials{Username: username, Password: redisconn.Secret(os.Getenv(env)), PasswordFile: inProject(p, file)}
}

// archiveDir returns the folder of records that were archived.
func archiveDir(p *featuredefs.Project) string { return folder(p, p.Online.Archive, "archive") }

// folder returns the folder that unskew.yaml declares, or the default one in the data folder.
func folder(p *featuredefs.Project, declared, name string) string {
	if declared == "" {
		return filepath.Join(DataDir(p), name)
	}
	return inProject(p, declared)
}

// inProject is a path that may be relative to the project; no path stays none.
func inProject(p *featuredefs.Project, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}

// DataDir returns the folder of the project's embedded data and other local state.
func DataDir(p *featuredefs.Project) string {
	return inProject(p, p.Online.DataDir)
}
