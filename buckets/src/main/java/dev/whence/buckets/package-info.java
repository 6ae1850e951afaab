/**
 * Objects of S3-compatible stores as files. Whoever reads by {@link java.nio.file.Path} reads
 * {@code s3://bucket/key}, too: {@link dev.whence.buckets.BucketFileSystemProvider} is found by the
 * JDK where this module is on the class path, and {@link dev.whence.buckets.BucketChannel} turns
 * positional reads into ranged requests. Nothing is written through paths: {@link
 * dev.whence.buckets.BucketUpload} puts whole files, and says in which order they appear.
 */
package dev.whence.buckets;
