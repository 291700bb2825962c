// Package config reads the one file that tells timbridge what to do.
//
// The idea: config.example.yaml (embedded in the binary, see the package at
// the root of the module) is the single place where defaults and their
// explanations live. Loading means: take the example, lay the user's file over
// it, lay environment variables over that, then check everything at once and
// say in plain words what has to be changed. When the layout of the example
// changes, the user's file is rewritten in the new layout with his values kept;
// where the file may not be written, timbridge runs all the same.
//
// Secrets have a type of their own ([Secret]) which prints as a placeholder, so
// that no log line, error text or %+v can show one by accident.
package config
