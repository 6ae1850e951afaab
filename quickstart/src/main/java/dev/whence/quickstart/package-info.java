/**
 * {@link dev.whence.quickstart.Quickstart}: the whole system in one JVM, to be looked at. {@link
 * dev.whence.quickstart.view} draws.
 */
package dev.whence.quickstart;
