// Package mappingtest holds the tests that every database under package mappingdb
// must pass. A database adds an opener and calls [Run].
package mappingtest
