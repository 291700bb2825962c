package config

import "time"

// Replica is for several timbridges on one PostgreSQL database, of which one works and the others stand by.
type Replica struct {
	Enabled bool `yaml:"enabled"`
	// Hostname and Port are where this one listens for the others.
	Hostname string `yaml:"hostname"`
	Port     uint16 `yaml:"port"`
	// Address is how the others reach it.
	Address string `yaml:"address"`
	TLS     TLS    `yaml:"tls"`
	// Takeover is after how long a silence of the one that works another takes its place.
	Takeover time.Duration `yaml:"takeover"`
}

func (c *Config) checkReplica(found *findings) {
	r := c.Replica
	if !r.Enabled {
		return
	}
	if c.Database.Type != DatabasePostgres {
		found.problem("replica.enabled", "needs PostgreSQL: set database.type to postgres")
	}
	checkListen(found, "replica", r.Hostname, r.Port)
	if r.Port != 0 && (r.Port == c.AppService.Port || r.Port == c.V2TIM.Port || c.Tencent.Mode == ModeCloud && r.Port == c.Tencent.Webhook.Port) {
		found.problem("replica.port", "is that of another listener: choose another one")
	}
	checkURL(found, "replica.address", r.Address)
	checkTLS(found, "replica.tls", r.TLS)
	if r.Takeover < time.Second || r.Takeover > 5*time.Minute {
		found.problem("replica.takeover", "has to be from 1s to 5m")
	}
}
