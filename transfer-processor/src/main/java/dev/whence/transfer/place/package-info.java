/**
 * Where results appear: {@link dev.whence.transfer.place.Destination} is a directory, in which the
 * merge engine publishes by a rename, or a prefix of a bucket, to which what it made is sent.
 */
package dev.whence.transfer.place;
