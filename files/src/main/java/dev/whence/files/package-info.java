/**
 * What every module does with files, once: their problems in words ({@link
 * dev.whence.files.FileProblem}), files that are there whole or not at all ({@link
 * dev.whence.files.WholeFile}), one writer at a time ({@link dev.whence.files.WriterLock}), names
 * that no link may take ({@link dev.whence.files.OwnFile}), whether a name still has the file that
 * it had ({@link dev.whence.files.FileIdentity}), directories with all that is in them ({@link
 * dev.whence.files.FileTree}), and digests ({@link dev.whence.files.Sha256}).
 */
package dev.whence.files;
