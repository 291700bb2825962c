// Package movedb moves everything that timbridge knows from SQLite to PostgreSQL.
//
// It copies rows, and knows nothing of what they mean: what is exported (package mapping) is the mapping alone, and a bridge that
// moves must also keep who has read what, what is on its way, and its place in the homeserver's /sync. Every table of ours that the
// old database has must be in the new one, which must be empty. All is copied in one transaction, with the keys that it has, and the
// rows are counted on both sides before it is committed: it is moved as a whole or not at all, and can simply be tried again.
package movedb
