// Package receiptstest is the suite of tests that every database under package
// receiptsdb must pass. A database is put under it with a test that calls [Run]
// with a function that opens an empty one.
package receiptstest
