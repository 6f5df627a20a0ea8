# shellcheck shell=bash disable=SC2034
# What is particular to this cluster: the one file to change. Better still, keep a copy elsewhere and name it when you
# submit:  export LONGHAUL_SITE=$HOME/my-cluster.sh
# Read by lib.sh on the batch node, which has set: LONGHAUL_HOME (this tree), ranks_per_node, threads (cores of a rank).

# 1. The software: modules ...
# module load gcc/12 openmpi/4.1 hdf5
# ... and the program. In a container (jobs/longhaul.def), with the file systems it needs:
# longhaul=(apptainer exec --bind "/scratch,$HOME" /path/to/longhaul.sif longhaul)
longhaul=("$LONGHAUL_HOME/build/cpu/longhaul")

# 2. What starts the ranks: mpirun, or srun where Slurm has PMIx (`srun --mpi=list`).
launcher=mpirun

# 3. Where the ranks run: $ranks_per_node on each node, each bound to $threads cores of its own.
mpirun_options=(--map-by "ppr:$ranks_per_node:node:PE=$threads" --bind-to core)
srun_options=(--mpi=pmix --cpu-bind=cores)

# 4. Options for every `longhaul run` here, unless the command line of the job has them.
run_options=()
