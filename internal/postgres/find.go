package postgres

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// ErrMissing says that there is no PostgreSQL on this machine.
var ErrMissing = errors.New("PostgreSQL is not installed: apt-get install postgresql")

// Find returns the folder with PostgreSQL's programs: the one on PATH, else the newest of Debian's, else what .ci/get-postgres.sh
// has fetched. It is [ErrMissing] if there is none.
func Find() (string, error) {
	folders := debianFolders("/")
	if found, err := exec.LookPath("initdb"); err == nil {
		folders = slices.Insert(folders, 0, filepath.Dir(found))
	}
	if lab := labFolder(); lab != "" {
		folders = append(folders, debianFolders(filepath.Join(lab, "postgres", "root"))...)
	}
	for _, folder := range folders {
		if isProgram(filepath.Join(folder, "initdb")) && isProgram(filepath.Join(folder, "postgres")) {
			return folder, nil
		}
	}
	return "", ErrMissing
}

// debianFolders lists where Debian's packages put the programs below a root, the newest version first.
func debianFolders(root string) []string {
	folders, _ := filepath.Glob(filepath.Join(root, "usr/lib/postgresql/*/bin")) // the pattern is well-formed
	version := func(folder string) float64 {
		n, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(folder)), 64)
		return n
	}
	slices.SortFunc(folders, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
	return folders
}

// labFolder is the folder that .ci/get-lab.sh fills, "" outside of this repository.
func labFolder() string {
	if lab := os.Getenv("TIMBRIDGE_LAB"); lab != "" {
		return lab
	}
	folder, err := os.Getwd()
	for err == nil && folder != filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return filepath.Join(folder, ".lab")
		}
		folder = filepath.Dir(folder)
	}
	return ""
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
