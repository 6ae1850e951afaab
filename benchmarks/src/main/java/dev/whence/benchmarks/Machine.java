package dev.whence.benchmarks;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Where figures were measured: no figure means anything without it.
 *
 * @param processor model name as the system gives it
 * @param cores that the process may use
 * @param memoryBytes of the machine
 * @param system operating system and its version
 * @param java runtime and its version
 * @param loadAverage processes that wanted to run over the last minute; negative if unknown. Above
 *     the number of cores, times are worth little and only ratios of runs in turn count
 */
public record Machine(
    String processor, int cores, long memoryBytes, String system, String java, double loadAverage) {

  /** This machine, now. */
  public static Machine here() {
    var system = ManagementFactory.getOperatingSystemMXBean();
    long memory =
        system instanceof com.sun.management.OperatingSystemMXBean bean
            ? bean.getTotalMemorySize()
            : 0;
    return new Machine(
        field(Path.of("/proc/cpuinfo"), "model name").orElse(system.getArch()),
        Runtime.getRuntime().availableProcessors(),
        memory,
        system.getName() + " " + system.getVersion(),
        System.getProperty("java.vm.name") + " " + Runtime.version(),
        system.getSystemLoadAverage());
  }

  /** Most memory that this process ever had resident, where the system tells (Linux). */
  public static OptionalLong peakResidentBytes() {
    return field(Path.of("/proc/self/status"), "VmHWM")
        .map(value -> OptionalLong.of(Long.parseLong(value.replaceAll("[^0-9]", "")) * 1024))
        .orElse(OptionalLong.empty());
  }

  /**
   * Processor time of this process so far, all threads, seconds; 0 where the system does not tell.
   */
  static double processorSeconds() {
    return ManagementFactory.getOperatingSystemMXBean()
            instanceof com.sun.management.OperatingSystemMXBean bean
        ? Math.max(0, bean.getProcessCpuTime() * 1e-9)
        : 0;
  }

  private static Optional<String> field(Path file, String name) {
    if (!Files.isReadable(file)) {
      return Optional.empty();
    }
    try {
      return Files.readAllLines(file).stream()
          .filter(line -> line.startsWith(name) && line.indexOf(':') > 0)
          .map(line -> line.substring(line.indexOf(':') + 1).strip())
          .findFirst();
    } catch (IOException e) {
      return Optional.empty(); // what the system does not tell is reported as unknown
    }
  }
}
