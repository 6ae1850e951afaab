package dev.whence.attribution.stage;

import dev.whence.attribution.stage.AttributionKillScenarios.At;
import dev.whence.attribution.stage.BrokerGate.Stop;
import dev.whence.runtime.config.GroupProtocol;
import dev.whence.samples.BundledModels;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Both roles at once, each in a JVM of its own and with a model of its own (the proxy in front,
 * chat-v1 behind), and both killed at each place of {@link At}: so one of them writes into topics
 * that the other has left with an open transaction, and reads such. Of each response that is not
 * sampled out and has sources the FAST role makes an escalation, for too few pairs are known.
 */
final class RolesKillScenarios {
  private static final Logger LOG = LoggerFactory.getLogger(RolesKillScenarios.class);

  /** So many results are compared with those of an undisturbed run. */
  private static final int COMPARED = 8;

  private final FaultRun run;
  private final int batch;
  private final Map<Role, Process> processes = new ConcurrentHashMap<>();

  private RolesKillScenarios(FaultRun run, int batch) {
    this.run = run;
    this.batch = batch;
  }

  /** How a role was killed: whether at the place, and what was begun then. */
  private record Killed(boolean hit, Map<TopicPartition, Long> begun) {}

  /**
   * Kills both roles at each of these places in turn, so often; each time new processes take over.
   *
   * @return how often a kill hit where it was meant to; who was missed is tried again, as often as
   *     there are rounds
   */
  static Map<Role, Map<At, Integer>> bothKilledAtEach(
      Set<At> places, GroupProtocol protocol, int responses, int rounds, Path directory)
      throws Exception {
    int portion = responses / (rounds * places.size() + rounds + 1);
    Map<Role, Map<At, Integer>> hits = new EnumMap<>(Role.class);
    try (FaultRun run = FaultRun.open(protocol, responses, directory)) {
      RolesKillScenarios both = new RolesKillScenarios(run, Math.min(8, Math.max(3, portion / 3)));
      both.run(places, portion, rounds, hits, new Random(responses));
      run.sendRest();
      run.awaitAllFinal();
      for (Process process : both.processes.values()) {
        run.terminate(process);
      }
      run.assertEachFinalOnceWithBothRoles(Math.max(1, responses / COMPARED));
    }
    LOG.info("{} responses, {}: killed {}", responses, protocol, hits);
    return hits;
  }

  private void run(
      Set<At> places, int portion, int rounds, Map<Role, Map<At, Integer>> hits, Random random)
      throws Exception {
    int spare = rounds;
    for (Role role : Role.values()) {
      processes.put(role, start(role));
    }
    run.send(portion);
    run.awaitAllFinal();
    for (int round = 0; round < rounds; round++) {
      for (At at : places) {
        Set<Role> toBeHit = EnumSet.allOf(Role.class);
        do {
          kill(toBeHit, at, portion, random)
              .forEach(
                  (role, killed) -> {
                    hits.computeIfAbsent(role, unused -> new EnumMap<>(At.class))
                        .merge(at, killed.hit() ? 1 : 0, Integer::sum);
                    if (killed.hit()) {
                      toBeHit.remove(role);
                    }
                    // A record that saw three processes die is given up, rightly: nobody dies on
                    // these again.
                    run.awaitDone(role, killed.begun());
                  });
        } while (!toBeHit.isEmpty() && spare-- > 0);
      }
    }
  }

  /** Each at its own time: what is held for long fails by itself. */
  private Map<Role, Killed> kill(Set<Role> which, At at, int portion, Random random) {
    Map<Role, CompletableFuture<Killed>> kills = new EnumMap<>(Role.class);
    for (Role role : which) {
      Random ofRole = new Random(random.nextLong());
      // Before the responses are sent, so that nobody has passed the place already.
      Stop stop = run.stop(name(role), at.api, at.way, ofRole.nextInt(portion / (3 * batch) + 1));
      kills.put(role, CompletableFuture.supplyAsync(() -> killAndStart(role, at, stop, ofRole)));
    }
    run.send(portion);
    Map<Role, Killed> killed = new EnumMap<>(Role.class);
    kills.forEach((role, kill) -> killed.put(role, kill.join()));
    return killed;
  }

  private Killed killAndStart(Role role, At at, Stop stop, Random random) {
    try {
      boolean hit =
          AttributionKillScenarios.killed(
              run, role, name(role), processes.get(role), at, stop, random);
      Map<TopicPartition, Long> begun = run.begun(role);
      processes.put(role, start(role));
      return new Killed(hit, begun);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while a process was killed", e);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Process start(Role role) throws IOException {
    Map<String, String> settings = new HashMap<>();
    settings.put("batch.max-records", Integer.toString(batch));
    if (role == Role.FAST) {
      settings.put("model", BundledModels.unpack(BundledModels.PROXY).toString());
      settings.put("sampling.rate", Double.toString(FaultRun.SCORED_BY_BOTH));
      settings.put("escalation.enabled", "true");
      settings.put("escalation.least-pairs", "20000"); // never reached: all is handed on
      settings.put("escalation.window", "20000");
      settings.put("escalation.deadline", "1h");
    }
    return run.start(role, name(role), settings);
  }

  private static String name(Role role) {
    return role == Role.FAST ? "fast" : "target";
  }
}
