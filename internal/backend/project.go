package backend

import (
	"crypto/tls"
	"os"
	"path/filepath"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/internal/redisconn"
)

// EnvRedisPassword is the environment variable with the password of Redis, which is no part of a project.
const EnvRedisPassword = "UNSKEW_REDIS_PASSWORD"

// Of returns the log and store that unskew.yaml and the environment configure for a project.
func Of(p *featuredefs.Project) Config {
	r := p.Online.Redis
	if r == nil {
		return Config{Dir: DataDir(p), Archive: archiveDir(p)}
	}
	conn := redisconn.Options{
		Addresses: r.Addresses, Username: r.Username, Password: redisconn.Secret(os.Getenv(EnvRedisPassword)), DB: r.DB, Namespace: r.Prefix,
	}
	if conn.Namespace == "" {
		conn.Namespace = "unskew." + p.Name
	}
	if r.TLS {
		conn.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return Config{Redis: &conn, Archive: archiveDir(p)}
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

// inProject is a path that may be relative to the project.
func inProject(p *featuredefs.Project, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}

// DataDir returns the folder of the project's embedded data and other local state.
func DataDir(p *featuredefs.Project) string {
	return inProject(p, p.Online.DataDir)
}
